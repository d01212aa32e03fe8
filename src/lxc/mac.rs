//! MAC addresses for interfaces that had none.

use sha2::{Digest, Sha256};

/// Returns a MAC address for an interface: the same for the same `seed` (`SOURCE/CTID`) and name on every run and every
/// host, locally administered and unicast. 46 bits of a SHA-256, so two containers of one site do not meet.
///
/// venet has no MAC address at all, and vzctl's own for veth depend on the node's hardware id: there is nothing to keep.
pub fn mac_for(seed: &str, ifname: &str) -> String {
    let mut hash = Sha256::new();
    // A zero byte can be in neither, so no other pair gives the same input.
    hash.update(b"ovz2lxc mac\0");
    hash.update(seed.as_bytes());
    hash.update(b"\0");
    hash.update(ifname.as_bytes());
    let sum = hash.finalize();
    let mut octets = [sum[0], sum[1], sum[2], sum[3], sum[4], sum[5]];
    octets[0] = (octets[0] & 0xfc) | 0x02;
    octets.map(|b| format!("{b:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn vectors_stay_as_they_are() {
        // A changed vector would give every container migrated again another address.
        assert_eq!(mac_for("vz1.example.com/101", "eth0"), "be:10:42:f0:b6:0a");
        assert_eq!(mac_for("vz1.example.com/101", "eth1"), "0a:13:b3:58:bc:e0");
        assert_eq!(mac_for("", ""), "0e:f4:5a:e5:46:34");
    }

    #[test]
    fn always_locally_administered_unicast_and_distinct() {
        let macs: BTreeSet<String> = (1..=2000).map(|ctid| mac_for(&format!("node/{ctid}"), "eth0")).collect();
        assert_eq!(macs.len(), 2000);
        for mac in &macs {
            let first = u8::from_str_radix(&mac[..2], 16).unwrap();
            assert_eq!(first & 0x03, 0x02, "{mac}");
        }
        assert_ne!(mac_for("a/1", "1eth0"), mac_for("a/11", "eth0"));
    }
}
