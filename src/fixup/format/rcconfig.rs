//! /etc/rc.config of SuSE up to 7.3, as far as it lists interfaces.

use super::shellvars::ShellVars;

/// How many interfaces are looked at: a bound against a file that lists thousands to keep us busy.
const NUMBERS: usize = 256;

/// Removes the interfaces for which `gone` says so: `NETDEV_N` with its `IPADDR_N` and `IFCONFIG_N`, and `_N` in the list
/// `NETCONFIG`. The numbers of the others stay.
pub fn remove_interfaces(text: &[u8], gone: impl Fn(&str) -> bool) -> Vec<u8> {
    let mut vars = ShellVars::parse(text);
    let numbers: Vec<String> = vars
        .keys()
        .into_iter()
        .filter_map(|key| key.strip_prefix("NETDEV"))
        .take(NUMBERS)
        .filter(|n| vars.get(&format!("NETDEV{n}")).is_some_and(|device| gone(&device)))
        .map(str::to_owned)
        .collect();
    if numbers.is_empty() {
        return text.to_vec();
    }
    vars.unset_where(|key| {
        let number = ["NETDEV", "IPADDR", "IFCONFIG"].iter().find_map(|name| key.strip_prefix(name));
        number.is_some_and(|n| numbers.iter().any(|gone| gone == n))
    });
    if let Some(list) = vars.get("NETCONFIG") {
        let kept: Vec<&str> = list.split_whitespace().filter(|n| !numbers.iter().any(|gone| gone == n)).collect();
        vars.set("NETCONFIG", &kept.join(" "));
    }
    vars.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_goes_with_all_that_belongs_to_it() {
        let text = b"# Number of network cards\nNETCONFIG=\"_0 _1 _2\"\nIPADDR_0=\"10.0.0.101\"\nIPADDR_1=\"10.0.0.102\"\n\
            NETDEV_0=\"venet0\"\nNETDEV_1=\"venet0:1\"\nNETDEV_2=\"eth0\"\nIFCONFIG_0=\"10.0.0.101 up\"\nIFCONFIG_2=\"dhcpclient\"\nFQHOSTNAME=\"a.b\"\n";
        let once = remove_interfaces(text, |d| d.starts_with("venet"));
        assert_eq!(
            String::from_utf8(once.clone()).unwrap(),
            "# Number of network cards\nNETCONFIG=\"_2\"\nNETDEV_2=\"eth0\"\nIFCONFIG_2=\"dhcpclient\"\nFQHOSTNAME=\"a.b\"\n"
        );
        assert_eq!(remove_interfaces(&once, |d| d.starts_with("venet")), once);
    }
}
