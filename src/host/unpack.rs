//! A packed file on any host, unpacked there by whatever packed it.

/// A shell function `unpack FILE` that writes a file's content to standard output, whatever it is packed with: what it is
/// tells its beginning, not its name. The programs are those of the host; lzop is what vzdump packed with by default.
pub const UNPACK: &str = r#"unpack() {
  case $(dd if="$1" bs=4 count=1 2>/dev/null | od -An -tx1 | tr -d ' \n') in
    1f8b*) gzip -dc -- "$1";;
    894c5a4f) lzop -dc -- "$1";;
    28b52ffd) zstd -dc -- "$1";;
    425a68*) bzip2 -dc -- "$1";;
    *) cat -- "$1";;
  esac
}
"#;
