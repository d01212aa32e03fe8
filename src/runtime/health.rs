//! Is the container well? A start that LXC calls a success may still be a container that nobody can reach.

use super::{Lxc, State, commands};
use crate::cancel::Cancel;
use crate::error::{Doing, Error, Result};
use crate::host::Command;
use crate::model::finding::{Finding, Severity};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Programs through which a user gets in. Kernel names of processes, at most 15 bytes.
const LOGINS: [&str; 9] = ["agetty", "mingetty", "getty", "mgetty", "fgetty", "ngetty", "login", "sshd", "dropbear"];

/// What a container must show to be called healthy.
#[derive(Debug, Clone, Default)]
pub struct HealthCheck {
    /// It must show it within this time.
    pub timeout: Duration,
    /// Its init must have run for this long without a restart.
    pub settle: Duration,
    /// Addresses that must be up inside.
    pub addresses: Vec<IpAddr>,
    /// MAC addresses of its interfaces; when given, a neighbour that answers for its address from another one is told.
    pub macs: Vec<String>,
    /// A program through which a user gets in (a getty, sshd) must run.
    pub expect_login: bool,
}

/// What a healthy container showed.
#[derive(Debug, Clone)]
pub struct HealthReport {
    /// How long it took.
    pub waited: Duration,
    /// Its init on this host.
    pub init_pid: u32,
    /// Every address that is up inside.
    pub addresses: Vec<IpAddr>,
    /// Processes beside init.
    pub processes: usize,
    /// The program through which a user gets in.
    pub login: Option<String>,
    /// What could not be looked at, and what deserves a look.
    pub findings: Vec<Finding>,
}

/// What is remembered between two looks.
struct Watch<'a> {
    lxc: &'a Lxc,
    name: &'a str,
    check: &'a HealthCheck,
    can_ping: bool,
    init: Option<(u32, Instant)>,
    reached: BTreeMap<IpAddr, Option<Finding>>,
}

/// One look. `missing` is what was expected and what was seen instead, `state` any state but running.
#[derive(Default)]
struct Look {
    missing: Vec<String>,
    state: Option<State>,
    init_pid: u32,
    addresses: Vec<IpAddr>,
    processes: usize,
    login: Option<String>,
}

/// Whether this host gets through to an address.
enum Reach {
    Yes,
    /// It answers, but something deserves a look; or it could not be tried.
    Remarkable(Finding),
    No(String),
}

impl Lxc {
    /// Waits until a container is healthy. Fails at once when it stops, and when the time is over; the error says what was
    /// expected, what was seen and how long it waited, with the last lines of the console.
    pub fn wait_healthy(&self, name: &str, check: &HealthCheck, cancel: &Cancel) -> Result<HealthReport> {
        let doing = || format!("checking the health of container {name}");
        let can_ping = self.host.run(&commands::has("ping")).doing(doing)?.status == 0;
        let mut watch = Watch { lxc: self, name, check, can_ping, init: None, reached: BTreeMap::new() };
        let begun = Instant::now();
        loop {
            cancel.check()?;
            let look = watch.look().doing(doing)?;
            let waited = begun.elapsed();
            if look.missing.is_empty() {
                let findings = watch.reached.into_values().flatten().collect();
                let Look { init_pid, addresses, processes, login, .. } = look;
                return Ok(HealthReport { waited, init_pid, addresses, processes, login, findings });
            }
            if watch.stopped_itself(&look) || waited >= check.timeout {
                return Err(self.unhealthy(name, &look, waited));
            }
            std::thread::sleep(self.poll.min(check.timeout.saturating_sub(waited)));
        }
    }

    fn unhealthy(&self, name: &str, look: &Look, waited: Duration) -> Error {
        let mut seen = Error::new(look.missing.join("; "));
        if let Ok(Some(lines)) = self.console_tail(name) {
            seen = seen.because(Error::new(format!("last lines of its console: {}", lines.join(" | "))));
        }
        let path = self.path.display();
        Error::new(format!("container {name} is not healthy after {:.1} s", waited.as_secs_f64()))
            .because(seen)
            .hint(format!("look inside: lxc-console -P {path} -n {name}, or lxc-attach -P {path} -n {name}"))
    }
}

impl Watch<'_> {
    fn look(&mut self) -> Result<Look> {
        let mut look = Look::default();
        let state = self.lxc.state(self.name)?;
        if state != State::Running {
            look.missing.push(format!("expected it to be running; seen: {state}"));
            look.state = Some(state);
            return Ok(look);
        }
        let Some(pid) = self.lxc.init_pid(self.name)? else {
            look.missing.push("expected an init process; seen: none".into());
            return Ok(look);
        };
        look.init_pid = pid;
        self.settled(pid, &mut look);
        self.processes(pid, &mut look)?;
        look.addresses = self.lxc.addresses(self.name)?;
        self.addresses(&mut look)?;
        Ok(look)
    }

    /// It ran and does so no more: waiting longer would change nothing.
    fn stopped_itself(&self, look: &Look) -> bool {
        self.init.is_some() && matches!(look.state, Some(State::Stopped | State::Absent))
    }

    fn settled(&mut self, pid: u32, look: &mut Look) {
        // Another init is another boot: a container that restarts in a circle never settles.
        let since = match self.init {
            Some((known, since)) if known == pid => since,
            _ => Instant::now(),
        };
        self.init = Some((pid, since));
        if since.elapsed() < self.check.settle {
            let (want, seen) = (self.check.settle.as_secs_f64(), since.elapsed().as_secs_f64());
            look.missing.push(format!("expected init to run for {want:.1} s; seen: {seen:.1} s"));
        }
    }

    fn processes(&self, init: u32, look: &mut Look) -> Result<()> {
        let ps = Command::read("ps").args(["-e", "-o", "pid=", "-o", "ppid=", "-o", "comm="]);
        let inside = descendants(&self.lxc.run_ok(&ps)?.text(), init);
        look.processes = inside.len();
        look.login = inside.iter().find(|name| LOGINS.contains(&name.as_str())).cloned();
        if inside.is_empty() {
            look.missing.push("expected processes beside init; seen: none, it boots only half".into());
        } else if self.check.expect_login && look.login.is_none() {
            look.missing.push(format!("expected a getty or sshd; seen: {}", names(&inside)));
        }
        Ok(())
    }

    fn addresses(&mut self, look: &mut Look) -> Result<()> {
        for address in &self.check.addresses {
            if !look.addresses.contains(address) {
                let seen: Vec<String> = look.addresses.iter().map(IpAddr::to_string).collect();
                let seen = if seen.is_empty() { "no address".to_owned() } else { seen.join(", ") };
                look.missing.push(format!("expected address {address} inside; seen: {seen}"));
                continue;
            }
            if self.reached.contains_key(address) {
                continue;
            }
            match self.reach(*address)? {
                Reach::Yes => drop(self.reached.insert(*address, None)),
                Reach::Remarkable(finding) => drop(self.reached.insert(*address, Some(finding))),
                Reach::No(why) => look.missing.push(why),
            }
        }
        Ok(())
    }

    /// Pings an address, if this host is on its link. One that stays silent but answers the kernel's neighbour
    /// discovery is up all the same: many firewalls drop pings.
    fn reach(&self, address: IpAddr) -> Result<Reach> {
        let skipped = |why: String| {
            Ok(Reach::Remarkable(
                Finding::new(Severity::Skipped, "address-not-tried", format!("{address} was not tried from this host"))
                    .detail(why)
                    .remedy("try it from a machine of its network")
                    .subject(address.to_string()),
            ))
        };
        if !self.can_ping {
            return skipped("ping is not installed".into());
        }
        let route = self.lxc.host.run(&Command::read("ip").args(["-o", "route", "get"]).arg(address.to_string()))?;
        let text = route.text();
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.first() == Some(&"local") {
            return Ok(Reach::No(format!(
                "expected {address} to be the container's; seen: it is this host's own address"
            )));
        }
        if route.status != 0 || words.contains(&"via") {
            return skipped("this host is not on its link".into());
        }
        let family = if address.is_ipv4() { "-4" } else { "-6" };
        let ping = Command::read("ping").args([family, "-n", "-c", "1", "-W", "1"]).arg(address.to_string());
        let answered = self.lxc.host.run(&ping.timeout(Duration::from_secs(10)))?.status == 0;
        let device = words.iter().skip_while(|w| **w != "dev").nth(1).copied();
        self.judge(address, device, answered)
    }

    /// Only the neighbour on the way to it counts: a routed container has a link of its own, and the uplink may still
    /// remember who had the address before the move.
    fn judge(&self, address: IpAddr, device: Option<&str>, answered: bool) -> Result<Reach> {
        let neighbour = Command::read("ip").args(["-o", "neigh", "show"]).arg(address.to_string());
        let neighbour = neighbour.args(device.into_iter().flat_map(|d| ["dev", d]));
        let text = self.lxc.host.run(&neighbour)?.text();
        let mut words = text.split_whitespace();
        let mac = words.find(|w| *w == "lladdr").and_then(|_| words.next()).map(str::to_ascii_lowercase);
        if let Some(other) = mac.as_ref().filter(|m| !self.check.macs.is_empty() && !self.check.macs.contains(m)) {
            return Ok(Reach::No(format!(
                "expected {address} at {}; seen: {} answers for it, another machine has the address",
                self.check.macs.join(" or "),
                other.escape_debug()
            )));
        }
        Ok(match (answered, mac) {
            (true, _) => Reach::Yes,
            (false, Some(_)) => Reach::Remarkable(
                Finding::info("address-drops-ping", format!("{address} is up but does not answer pings"))
                    .detail("it answers address resolution; a firewall in the container drops the rest")
                    .subject(address.to_string()),
            ),
            (false, None) => Reach::No(format!("expected {address} to answer; seen: no answer on its link")),
        })
    }
}

/// Returns the names of all processes below `init`, from lines of `PID PPID NAME`. A name is the guest's: any text.
fn descendants(ps: &str, init: u32) -> Vec<String> {
    let mut children: BTreeMap<u32, Vec<(u32, &str)>> = BTreeMap::new();
    for line in ps.lines() {
        let mut words = line.split_whitespace();
        let numbers = (words.next().and_then(|w| w.parse().ok()), words.next().and_then(|w| w.parse().ok()));
        if let (Some(pid), Some(parent)) = numbers {
            children.entry(parent).or_default().push((pid, words.next().unwrap_or("")));
        }
    }
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![init];
    while let Some(parent) = open.pop() {
        for (pid, name) in children.get(&parent).into_iter().flatten() {
            if seen.insert(*pid) {
                found.push((*name).to_owned());
                open.push(*pid);
            }
        }
    }
    found
}

fn names(processes: &[String]) -> String {
    let distinct: BTreeSet<&str> = processes.iter().map(String::as_str).collect();
    let shown: Vec<String> = distinct.iter().take(8).map(|n| n.escape_debug().to_string()).collect();
    shown.join(", ")
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn only_what_descends_from_init_is_inside() {
        let ps = "1 0 systemd\n40 1 lxc-start\n50 40 init\n51 50 rc\n52 51 sshd\n60 1 agetty\nx y z\n70 70 loop\n";
        assert_eq!(descendants(ps, 50), ["rc", "sshd"]);
        assert!(descendants(ps, 52).is_empty());
        assert_eq!(descendants(ps, 70), ["loop"]);
    }
}
