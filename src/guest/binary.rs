//! Architecture and C library, from headers and names of files.

use super::Eye;
use crate::rootfs::Look;
use std::path::Path;

/// The C library of a distribution is about 2 MiB; its version text lies somewhere in it.
const LIBC_LIMIT: u64 = 8 * 1024 * 1024;

/// Returns the architecture by the ELF header (elf(5)) of init, or of the shell when init is a script or missing.
pub(super) fn arch(eye: &Eye<'_>) -> String {
    let programs = ["sbin/init", "usr/lib/systemd/systemd", "bin/sh", "bin/bash", "bin/ls", "usr/bin/env"];
    programs.iter().find_map(|p| elf_arch(&eye.rootfs.read_start(Path::new(p), 64).ok().flatten()?)).unwrap_or_default()
}

fn elf_arch(header: &[u8]) -> Option<String> {
    if !header.starts_with(b"\x7fELF") || header.len() < 20 {
        return None;
    }
    let pair = [header[18], header[19]];
    let machine = if header[5] == 2 { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) };
    let (wide, little) = (header[4] == 2, header[5] == 1);
    let name = match (machine, wide, little) {
        (3, _, _) => "i686",
        (62, true, _) => "x86_64",
        (62, false, _) => "x32",
        (183, _, _) => "aarch64",
        (40, _, _) => "armv7l",
        (20, _, _) => "ppc",
        (21, _, true) => "ppc64le",
        (21, _, false) => "ppc64",
        (22, _, _) => "s390x",
        (243, true, _) => "riscv64",
        _ => return Some(format!("elf-machine-{machine}")),
    };
    Some(name.to_owned())
}

/// Returns the version of glibc, or `musl`; empty when neither is found.
pub(super) fn libc(eye: &Eye<'_>, arch: &str) -> String {
    // A 64-bit tree may carry the 32-bit library too, in /lib; both come from one source package.
    let wide = ["lib64", "usr/lib64", "lib/*-linux-gnu*", "usr/lib/*-linux-gnu*", "lib", "usr/lib", "lib/tls"];
    let narrow = ["lib", "usr/lib", "lib/tls", "lib/*-linux-gnu*", "usr/lib/*-linux-gnu*", "lib/i686", "lib64"];
    let places = if matches!(arch, "i686" | "ppc" | "armv7l") { narrow } else { wide };
    for place in places {
        for path in eye.rootfs.glob(&format!("{place}/libc-*.so")).unwrap_or_default() {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            let version = name.trim_start_matches("libc-").trim_end_matches(".so");
            if version.starts_with(|c: char| c.is_ascii_digit()) {
                return version.chars().take_while(|c| c.is_ascii_digit() || *c == '.').take(16).collect();
            }
        }
    }
    for place in places {
        for path in eye.rootfs.glob(&format!("{place}/libc.so.6")).unwrap_or_default() {
            let bytes = eye.rootfs.read_start(&path, LIBC_LIMIT).ok().flatten().unwrap_or_default();
            if let Some(version) = glibc_text(&bytes) {
                return version;
            }
        }
    }
    let musl = ["lib/ld-musl-*", "usr/lib/ld-musl-*"].iter().any(|p| eye.any(p));
    if musl { "musl".to_owned() } else { String::new() }
}

/// Finds the version in "GNU C Library (…) stable release version 2.36.".
fn glibc_text(bytes: &[u8]) -> Option<String> {
    let text = b"GNU C Library";
    let start = (0..bytes.len()).find(|&i| bytes[i..].starts_with(text))?;
    let line = bytes[start..].iter().take(200).take_while(|b| !b"\n\0".contains(b));
    let line: String = line.map(|b| char::from(*b)).collect();
    let version = line.split("version ").nth(1)?;
    let version: String = version.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let version = version.trim_end_matches('.').to_owned();
    (!version.is_empty()).then_some(version)
}
