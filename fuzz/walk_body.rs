// What the fuzz target and the tests of the main crate both run: any bytes as the output of a walk in either form, and as a
// saved index. The first byte says which.

use ovz2lxc::transfer::rehearse::{Walk, saved_walk, walk_paths};

/// Reads, and panics where a promise is broken: paths stay below the top, come once and in order, each after its directory.
pub(crate) fn walk(data: &[u8]) {
    let Some((which, bytes)) = data.split_first() else { return };
    let form = [Walk::Find, Walk::Stat, Walk::Saved][usize::from(which % 3)];
    match walk_paths(bytes, form) {
        Ok(paths) => check(&paths, form),
        Err(error) => {
            let text = error.chain().join(": ");
            assert!(!text.starts_with("lost"), "{text}");
            assert!(!text.chars().any(char::is_control), "a control character in {text:?}");
        }
    }
    if form == Walk::Find
        && let Ok(saved) = saved_walk(bytes)
    {
        let read = |bytes: &[u8], form| walk_paths(bytes, form).map_err(|e| e.to_string());
        assert_eq!(read(&saved, Walk::Saved), read(bytes, Walk::Find));
        assert!(saved.len() <= bytes.len() * 2 + 64, "{} bytes became {}", bytes.len(), saved.len());
    }
}

fn check(paths: &[Vec<u8>], form: Walk) {
    let names = |path: &[u8]| path.split(|b| *b == b'/').map(<[u8]>::to_vec).collect::<Vec<_>>();
    for path in paths.iter().filter(|path| !path.is_empty()) {
        for name in names(path) {
            let plain = !name.is_empty() && name != b"." && name != b".." && !name.contains(&0);
            assert!(plain, "{path:?} is no path below the top");
        }
    }
    assert!(paths.first().is_none_or(Vec::is_empty), "the top is not the first");
    if form == Walk::Saved {
        return;
    }
    for pair in paths.windows(2) {
        assert!(pair[0].is_empty() || names(&pair[0]) < names(&pair[1]), "{pair:?} are out of order");
        let slash = pair[1].iter().rposition(|b| *b == b'/').unwrap_or(0);
        let above = pair[1][..slash].to_vec();
        assert!(paths.contains(&above), "{above:?} is not there");
    }
}
