//! From HOST on the command line to a host.

use super::destination::Destination;
use super::local::{Local, is_installed};
use super::openssh::OpenSsh;
use super::profile::{SshOverrides, SshProfile};
use super::ssh2::Ssh2;
use super::terminal;
use super::{Host, package};
use crate::error::{Error, Result};
use crate::model::settings::TransportChoice;
use std::sync::Arc;

/// Reaches a host. With `interactive`, and when this process has a terminal, an unknown host key, a passphrase or a
/// password is asked for there; otherwise nothing is asked and an unknown key is refused. Errors are usage errors (a
/// destination or option that cannot be), or say why the host was not reached and what to do.
pub fn connect(
    destination: &Destination,
    overrides: &SshOverrides,
    transport: TransportChoice,
    interactive: bool,
) -> Result<Arc<dyn Host>> {
    if *destination == Destination::Local {
        return Ok(Arc::new(Local::new()));
    }
    let profile = SshProfile::resolve(destination, overrides)?;
    let ask = interactive && terminal::is_there();
    let installed = is_installed("ssh");
    match transport {
        TransportChoice::Openssh if !installed => Err(Error::new(format!("connecting to {}", profile.label()))
            .because(Error::new("ssh is not installed").hint(package::hint("ssh", "local")))),
        TransportChoice::Openssh => Ok(Arc::new(OpenSsh::connect(profile, ask)?)),
        TransportChoice::Auto if installed => Ok(Arc::new(OpenSsh::connect(profile, ask)?)),
        TransportChoice::Auto | TransportChoice::Ssh2 => Ok(Arc::new(Ssh2::connect(profile, ask)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_is_this_host() {
        let host = connect(&Destination::Local, &SshOverrides::default(), TransportChoice::Auto, false).unwrap();
        assert_eq!(host.label(), "local");
        assert!(host.remote_shell().is_none());
    }
}
