use super::*;

fn edit(text: &str, change: impl Fn(&mut ShellVars)) -> String {
    let mut vars = ShellVars::parse(text.as_bytes());
    change(&mut vars);
    let once = vars.render();
    let mut again = ShellVars::parse(&once);
    change(&mut again);
    assert_eq!(again.render(), once, "a second run changes nothing");
    String::from_utf8(once).unwrap()
}

#[test]
fn gatewaydev_goes_and_comments_stay() {
    let text = "NETWORKING=\"yes\"\n# GATEWAYDEV=\"eth9\"\nHOSTNAME=\"web1\"\nGATEWAYDEV=\"venet0\" # vz\nIPV6_DEFAULTDEV=\"venet0\"";
    let out = edit(text, |v| {
        v.unset("GATEWAYDEV");
        v.unset("IPV6_DEFAULTDEV");
    });
    assert_eq!(out, "NETWORKING=\"yes\"\n# GATEWAYDEV=\"eth9\"\nHOSTNAME=\"web1\"\n");
}

#[test]
fn set_keeps_place_quotes_tail_and_line_end() {
    let text = "A=1\r\nexport B=\"old\" # why\r\nC='x'\r\n  D=2";
    let out = edit(text, |v| {
        v.set("B", "new $x");
        v.set("C", "it's");
        v.set("D", "a b");
        v.set("E", "e");
    });
    assert_eq!(out, "A=1\r\nexport B=\"new \\$x\" # why\r\nC=\"it's\"\r\n  D=\"a b\"\r\nE=e\r\n");
}

#[test]
fn the_last_assignment_counts() {
    let mut vars = ShellVars::parse(b"ARPCHECK=\"no\"\nX=1\nARPCHECK=yes\n");
    assert_eq!(vars.get("ARPCHECK").as_deref(), Some("yes"));
    vars.set("ARPCHECK", "no");
    assert_eq!(vars.get("ARPCHECK").as_deref(), Some("no"));
    assert!(vars.unset("ARPCHECK"));
    assert!(!vars.unset("ARPCHECK"));
    assert_eq!(vars.render(), b"X=1\n");
    assert_eq!(ShellVars::parse(b"A=1\nB=2\nA=3\n").keys(), ["A", "B"]);
}

#[test]
fn values_as_a_shell_reads_them() {
    for (text, want) in [
        ("K=a\\ b", "a b"),
        ("K='a'\"b\"c", "abc"),
        ("K=\"a\\\"b\\n\"", "a\"b\\n"),
        ("K=", ""),
        ("K=a;B=2", "a"),
        ("K=a # c", "a"),
        ("K=\"two\nlines\"\nB=1", "two\nlines"),
        ("K=( \"10.0.0.1/24\" # it's here\n \"10.0.0.2/24\" )\n", "( \"10.0.0.1/24\" # it's here\n \"10.0.0.2/24\" )"),
        ("K=a\r\n", "a"),
    ] {
        assert_eq!(ShellVars::parse(text.as_bytes()).get("K").as_deref(), Some(want), "{text:?}");
    }
    for text in ["K =a", "9K=a", "#K=a", "if K=a", "K", "K=\"open", "K=(open"] {
        let vars = ShellVars::parse(text.as_bytes());
        assert_eq!(vars.get("K"), None, "{text:?}");
        assert_eq!(vars.render(), text.as_bytes());
    }
}

#[test]
fn arrays_are_read_and_written_as_words() {
    let text = "A=( \"10.0.0.1/24\" # it's (one)\n 'b c' d\\ e )\nB=x\nC=()\n";
    let mut vars = ShellVars::parse(text.as_bytes());
    assert_eq!(vars.words("A").unwrap(), ["10.0.0.1/24", "b c", "d e"]);
    assert_eq!((vars.words("B").unwrap(), vars.is_array("B")), (vec!["x".to_owned()], false));
    assert_eq!((vars.words("C").unwrap().len(), vars.words("D")), (0, None));
    vars.set_words("A", &["10.0.0.1/24".into(), "b c".into(), "d e".into()]);
    assert_eq!(vars.render(), text.as_bytes(), "the same words keep their bytes");
    vars.set_words("A", &["it's".into(), "x".into()]);
    vars.set_words("D", &[]);
    assert_eq!(vars.render(), b"A=(\"it's\" 'x' # it's (one)\n )\nB=x\nC=()\nD=()\n");
}

#[test]
fn an_open_quote_hides_only_its_own_line() {
    let vars = ShellVars::parse(b"A=(\nB='2'\nC=\"3\"\n");
    assert_eq!((vars.get("A"), vars.get("B").as_deref(), vars.get("C").as_deref()), (None, Some("2"), Some("3")));
}

#[test]
fn an_assignment_is_never_swallowed_by_what_stands_before_it() {
    assert_eq!(edit("X=\"open\nA=1\n", |v| v.set("A", "it's")), "A=\"it's\"\nX=\"open\n");
    assert_eq!(edit("run \\\n", |v| v.set("A", "1")), "run \\\n\nA=1\n");
    assert_eq!(edit("# c \\", |v| v.set("A", "1")), "# c \\\nA=1\n");
}

#[test]
fn unset_leaves_the_rest_of_the_line() {
    assert_eq!(
        edit("A=1; B=2\n", |v| {
            v.unset("A");
        }),
        "B=2\n"
    );
    assert_eq!(
        edit("A=1 run it\n", |v| {
            v.unset("A");
        }),
        "A= run it\n"
    );
}

#[test]
fn many_open_arrays_do_not_take_for_ever() {
    let text = b"A=(\n".repeat(100_000);
    assert_eq!(ShellVars::parse(&text).render(), text);
}

#[test]
fn an_array_of_several_lines_keeps_its_comments() {
    let list = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    let old = "A=(one   # the first, not \"two\"\n   # two) is needed\n   two 'three'\n   four\n   # end\n)\nB=1\n";
    for (words, new) in [
        (&["one", "two", "three", "four"][..], old.to_owned()),
        (&["one", "three", "four"], old.replace("   two 'three'", " 'three'")),
        (&["one", "two", "four"], old.replace(" 'three'", "")),
        (&["one", "two", "three"], old.replace("\n   four", "")),
        (&["two", "three", "four"], old.replace("(one ", "( ")),
        (
            &["one", "two", "x", "three", "four", "y"],
            old.replace("two 'three'", "two 'x' 'three'").replace("four", "four 'y'"),
        ),
        (&["x", "one", "two", "three", "four"], old.replace("(one", "('x' one")),
        (&["x"], "A=('x'   # the first, not \"two\"\n   # two) is needed\n   # end\n)\nB=1\n".to_owned()),
        (&[], "A=(   # the first, not \"two\"\n   # two) is needed\n   # end\n)\nB=1\n".to_owned()),
    ] {
        let text = edit(old, |vars| vars.set_words("A", &list(words)));
        assert_eq!(text, new, "{words:?}");
        assert_eq!(ShellVars::parse(text.as_bytes()).words("A").unwrap(), list(words));
        assert_eq!(ShellVars::parse(text.as_bytes()).get("B").unwrap(), "1");
    }
}

#[test]
fn a_long_array_does_not_take_for_ever() {
    let old = format!("A=(\n{}\n)\n", "a b\n".repeat(100_000));
    let words: Vec<String> = (0..100_000).map(|n| format!("w{n}")).collect();
    let before = std::time::Instant::now();
    let text = edit(&old, |vars| vars.set_words("A", &words));
    assert!(text.starts_with("A=('w0' 'w1' ") && before.elapsed().as_secs() < 30);
}
