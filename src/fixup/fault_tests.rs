use crate::error::Kind;
use crate::fixup::Catalogue;

/// Loads a directory with these files, and returns what is wrong with them.
fn load(files: &[(&str, &str)]) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let error = Catalogue::load(Some(dir.path())).err()?;
    assert_eq!(error.kind(), Kind::Usage, "{error:?}");
    assert!(!error.to_string().contains('\n'), "{error}");
    Some(error.chain().join(": ").replace(&format!("{}/", dir.path().display()), ""))
}

const HEAD: &str = "id = \"own\"\ntitle = \"t\"\nwhy = \"w\"\n";

#[test]
fn every_mistake_names_file_line_and_reason() {
    let remove = "[[action]]\ndo = \"remove\"\npath = [\"no-such-file\"]\n";
    // The mistake stands on the line that ends with `# here`.
    for (text, why) in [
        (format!("{HEAD}\n[[action]]\ndo = \"explode\" # here\npath = [\"a\"]\n"), "explode"),
        (format!("{HEAD}{remove}\n[[action]]\ndo = \"remove\"\npath = [\"a\"]\ncolour = \"red\" # here\n"), "colour"),
        (format!("{HEAD}colour = \"red\" # here\n{remove}"), "colour"),
        (format!("{HEAD}\n[[action]] # here\ndo = \"remove\"\n"), "path"),
        (format!("{HEAD}[when]\nfamily = [\n  \"debian\",\n  \"solaris\", # here\n]\n{remove}"), "solaris"),
        (format!("{HEAD}[when]\ninit = [\"launchd\"] # here\n{remove}"), "launchd"),
        (format!("{HEAD}[when]\nnetwork = [\"token-ring\"] # here\n{remove}"), "token-ring"),
        (format!("{HEAD}[when]\ndistro = [\"debain\"] # here\n{remove}"), "(did you mean \"debian\"?)"),
        (format!("{HEAD}[when]\ndistro = [\"ubuntuu\", \"sles\"] # here\n{remove}"), "\"ubuntu\""),
        (format!("{HEAD}[when]\ndistro = [\"homemade\"] # here\n{remove}"), "no distribution is known"),
        (format!("{HEAD}[when]\ninit = [\"sysvint\"] # here\n{remove}"), "did you mean `sysvinit`?"),
        (format!("{HEAD}[when]\nnetwork = [\"if-cfg\"] # here\n{remove}"), "did you mean `ifcfg`?"),
        (format!("{HEAD}[when]\nfamily = [\"red-hat\"] # here\n{remove}"), "did you mean `redhat`?"),
        (format!("{HEAD}[[action]]\ndo = \"nics\"\ndialect = \"netpln\" # here\n"), "did you mean `netplan`?"),
        (format!("{HEAD}[[action]]\ndo = \"nics\"\ndialect = \"unknown\" # here\n"), "no dialect"),
        (format!("{HEAD}[[action]]\ndo = \"remove\"\npaht = [\"a\"] # here\n"), "did you mean `path`?"),
        (
            format!(
                "{HEAD}[[action]] # here\ndo = \"report\"\nid = \"own\"\nseverity = \"info\"\ntitle = \"t\"\npath = [\"a\"]\n"
            ),
            "both path and containing",
        ),
        (format!("{HEAD}after = [\"host\"] # here\n{remove}"), "(did you mean \"hosts\"?)"),
        (format!("{HEAD}[when]\nversion = \">= new\" # here\n{remove}"), "range of versions"),
        (format!("{HEAD}[when]\nexists = [\"etc/a\", \"/etc/b\"] # here\n{remove}"), "/etc/b"),
        (format!("{HEAD}[when]\ndistro = [\n  \"debian\",\n  \"Debian\", # here\n]\n{remove}"), "Debian"),
        (format!("{HEAD}{remove}when = {{ distro = [\"red hat\"] }} # here\n"), "red hat"),
        (format!("{HEAD}{remove}[action.when]\nfamily = [\"solaris\"] # here\n"), "solaris"),
        (format!("{HEAD}{remove}when = {{ systemd = \"old\" }} # here\n"), "range of versions"),
        (format!("{HEAD}{remove}when = {{ missing = [\"a/../b\"] }} # here\n"), "a/../b"),
        (format!("{HEAD}[[action]]\ndo = \"remove\"\npath = [\n  \"etc/a\",\n  \"../etc\", # here\n]\n"), "../etc"),
        (format!("{HEAD}[[action]]\ndo = \"remove\"\npath = [\"/etc/a\"] # here\n"), "/etc/a"),
        (format!("{HEAD}[[action]]\ndo = \"remove\"\npath = [\"a\"]\ncontaining = \"(\" # here\n"), "regular"),
        (
            format!("{HEAD}[[action]]\ndo = \"substitute\"\npath = [\"a\"]\nfind = \"a(\" # here\nwith = \"\"\n"),
            "regular",
        ),
        (
            format!("{HEAD}[[action]]\ndo = \"substitute\"\npath = [\"a\"]\nfind = \"(a)\"\nwith = \"$1x\" # here\n"),
            "group 1x",
        ),
        (format!("{HEAD}[[action]]\ndo = \"mode\"\npath = [\"a\"]\nmode = \"0888\" # here\n"), "octal"),
        (format!("{HEAD}[[action]] # here\ndo = \"write\"\npath = \"a\"\n"), "content or template"),
        (format!("{HEAD}[[action]]\ndo = \"write\"\npath = \"a\"\ntemplate = \"none\" # here\n"), "none"),
        (
            format!("{HEAD}[[action]]\ndo = \"write\"\npath = \"a\"\ncontent = \"\"\"\na\n{{{{ b # here\n\"\"\"\n"),
            "syntax",
        ),
        (
            format!("{HEAD}[[action]]\ndo = \"write\"\npath = \"a\"\ncontent = \"{{{{ plan.hostnme }}}}\" # here\n"),
            "plan.hostnme",
        ),
        (format!("{HEAD}[[action]]\ndo = \"write\"\npath = \"{{{{ tty }}}}\" # here\ncontent = \"\"\n"), "tty"),
        (
            format!("{HEAD}[[action]]\ndo = \"symlink\"\npath = \"a\"\ntarget = \"{{{{ guest.x }}}}\" # here\n"),
            "guest.x",
        ),
        (format!("{HEAD}after = [\"hosts\", \"own-z\"] # here\n{remove}"), "own-z"),
        (format!("{HEAD}before = [\"own-z\"] # here\n{remove}"), "own-z"),
        (format!("title = \"t\"\nid = \"Own\" # here\nwhy = \"w\"\n{remove}"), "lower case"),
        ("title = \"t\"\nid = \"own\" # here\nwhy = \"w\"\n".to_owned(), "no [[action]]"),
        (format!("{HEAD}{remove}x = = # here\n"), "line"),
    ] {
        let line = text.lines().position(|l| l.ends_with("# here")).unwrap() + 1;
        let said = load(&[("70-own.toml", &text)]).unwrap_or_else(|| panic!("nothing is wrong with\n{text}"));
        assert!(said.starts_with(&format!("fixup module 70-own.toml, line {line}: ")), "{said}\n{text}");
        assert!(said.contains(why), "{said}\n{text}");
    }
}

#[test]
fn a_path_that_a_tree_leads_upwards_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let (own, root) = (dir.path().join("own"), dir.path().join("root"));
    std::fs::create_dir_all(root.join("etc")).unwrap();
    std::fs::create_dir(&own).unwrap();
    std::fs::write(root.join("etc/os-release"), "ID=debian\nVERSION_ID=..\n").unwrap();
    let text = "[[action]]\ndo = \"write\"\npath = \"etc/{{ guest.version }}/a\"\ncontent = \"a\"\n\
        [[action]]\ndo = \"symlink\"\npath = \"etc/{{ guest.version }}/b\"\ntarget = \"c\"\n";
    std::fs::write(own.join("70-own.toml"), format!("{HEAD}{text}")).unwrap();
    let rootfs = crate::rootfs::Rootfs::open(&root).unwrap();
    let guest = crate::guest::detect(&rootfs).unwrap();
    let plan = toml::from_str("hostname = \"a\"\n").unwrap();
    let catalogue = Catalogue::load(Some(&own)).unwrap();
    let report = crate::fixup::apply(&catalogue, &rootfs, &guest, &plan, &crate::fixup::ApplyOptions::default());
    let said: Vec<String> = report.unwrap().findings.into_iter().map(|f| f.detail).collect();
    for path in ["etc/../a", "etc/../b"] {
        assert!(said.iter().any(|s| s.contains(path)), "{said:?}");
    }
    assert!(!root.join("a").exists() && !root.join("b").is_symlink());
}

#[test]
fn modules_that_wait_for_each_other_are_named_with_their_files() {
    let module = |id: &str, more: &str| {
        let action = "[[action]]\ndo = \"remove\"\npath = [\"no-such-file\"]\n";
        format!("id = \"{id}\"\ntitle = \"t\"\nwhy = \"w\"\n{more}\n{action}")
    };
    let said = load(&[
        // Waits for the circle, but is no part of it.
        ("01-a.toml", &module("own-a", "after = [\"own-b\"]")),
        ("02-b.toml", &module("own-b", "after = [\"hosts\",\n  \"own-d\"]")),
        ("03-c.toml", &module("own-c", "\nbefore = [\"own-d\"]\nafter = [\"own-b\"]")),
        ("04-d.toml", &module("own-d", "")),
    ])
    .unwrap();
    assert_eq!(
        said,
        "fixup module 02-b.toml, line 5: after and before form a circle: own-b waits for own-d (02-b.toml, line 5), \
         own-d waits for own-c (03-c.toml, line 5), own-c waits for own-b (03-c.toml, line 6)"
    );
    let said = load(&[("01-a.toml", &module("own-a", "after = [\"own-a\"]"))]).unwrap();
    assert!(said.contains("line 4") && said.contains("own-a waits for own-a"), "{said}");
    // A module of ours that an own one turns round is named too.
    let said = load(&[("01-a.toml", &module("venet-ifcfg", "after = [\"nics-ifcfg\"]"))]).unwrap();
    assert!(said.contains("nics-ifcfg waits for venet-ifcfg (fixups/30-nics-ifcfg.toml, line"), "{said}");
}

#[test]
fn two_own_modules_of_one_id_and_files_that_are_no_modules() {
    let module = "title = \"t\"\nid = \"own\"\nwhy = \"w\"\n[[action]]\ndo = \"remove\"\npath = [\"a\"]\n";
    let said = load(&[("01-a.toml", module), ("02-b.toml", module)]).unwrap();
    assert!(said.starts_with("fixup module 02-b.toml, line 2: the id \"own\" is taken by"), "{said}");
    assert!(said.ends_with("01-a.toml"), "{said}");
    let said = load(&[("01-a.toml", &format!("{module}{}", "#".repeat(300_000)))]).unwrap();
    assert!(said.contains("01-a.toml") && said.contains("more than"), "{said}");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("01-a.toml"), b"id = \"a\"\n\ntitle = \"\xff\"\n").unwrap();
    let error = Catalogue::load(Some(dir.path())).unwrap_err();
    assert!(error.to_string().contains("01-a.toml, line 3: it is not UTF-8"), "{error}");
    let fifo = dir.path().join("00-fifo.toml");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    let error = Catalogue::load(Some(dir.path())).unwrap_err();
    assert!(error.chain().join(": ").contains("00-fifo.toml: it is not a regular file"), "{error:?}");
}

#[test]
fn a_wrong_template_file_is_named_itself_with_its_user() {
    let module = format!("{HEAD}[[action]]\ndo = \"write\"\npath = \"a\"\ntemplate = \"own/x.conf\"\n");
    let said = load(&[("70-own.toml", &module), ("init-templates/own/x.conf", "a\nb\n{% if %}\n")]).unwrap();
    assert!(said.starts_with("fixup template init-templates/own/x.conf, line 3: template syntax"), "{said}");
    let said = load(&[("70-own.toml", &module), ("init-templates/own/x.conf", "a\n{{ plan.nix }}\n")]).unwrap();
    assert!(
        said.starts_with("fixup template init-templates/own/x.conf, line 2: ") && said.contains("plan.nix"),
        "{said}"
    );
    let text = "{% for nic in plan.nic %}{{ nic.name }} {{ loop.index }}{% endfor %}{% set a = guest.distro %}{{ a }}";
    assert_eq!(load(&[("70-own.toml", &module), ("init-templates/own/x.conf", text)]), None);
}

#[test]
fn only_a_name_that_is_near_is_offered() {
    use super::nearest;
    let names = ["debian", "devuan", "arch", "alt"];
    for (word, name) in [
        ("debain", Some("debian")),
        ("Debian", Some("debian")),
        ("al", Some("alt")),
        ("aarch", Some("arch")),
        ("solaris", None),
        ("", None),
    ] {
        assert_eq!(nearest(word, names), name, "{word}");
    }
    assert_eq!(nearest(&"x".repeat(1 << 20), names), None);
}

#[test]
fn a_dialect_has_one_name_and_the_older_one_is_read() {
    use crate::model::guest::NetworkDialect;
    for (old, new) in [("networkd", "systemd-networkd"), ("rcconf", "arch-rc-conf")] {
        let read = |name: &str| serde_json::from_str::<NetworkDialect>(&format!("\"{name}\"")).unwrap();
        assert_eq!(read(old), read(new));
        assert_eq!(serde_json::to_string(&read(old)).unwrap(), format!("\"{new}\""));
        for name in [old, new] {
            let text =
                format!("{HEAD}[[action]]\ndo = \"nics\"\ndialect = \"{name}\"\nwhen = {{ network = [\"{name}\"] }}\n");
            assert_eq!(load(&[("70-own.toml", &text)]), None);
        }
    }
}
