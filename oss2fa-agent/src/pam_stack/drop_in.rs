//! The settings of sshd that a mode needs, as a file beside its configuration.

use super::{Mode, Touches};

/// First of its folder: of two values, sshd takes the one that it reads first.
pub(crate) const PATH: &str = "/etc/ssh/sshd_config.d/00-oss2fa.conf";

/// What sshd must do, by the names of `sshd -T`.
pub(crate) fn settings(mode: Mode, touches: Touches) -> Vec<(&'static str, &'static str)> {
    let touch = match touches {
        Touches::Counted => Some(("pubkeyauthoptions", "touch-required")),
        Touches::NotCounted => None,
    };
    let always = [
        ("usepam", "yes"),
        ("kbdinteractiveauthentication", "yes"),
        ("passwordauthentication", "no"),
        ("authenticationmethods", methods(mode)),
    ];
    always.into_iter().chain(touch).collect()
}

fn methods(mode: Mode) -> &'static str {
    match mode {
        Mode::PasswordAndCode | Mode::Code => "keyboard-interactive",
        Mode::PublicKeyAndCode => "publickey,keyboard-interactive",
    }
}

/// The text of the file.
pub(crate) fn text(mode: Mode, touches: Touches) -> String {
    let touch = match touches {
        Touches::Counted => {
            "# The touch of a key counts (ssh_touch_services of agent.toml), so none may go without.\n\
             PubkeyAuthOptions touch-required\n"
        }
        Touches::NotCounted => "",
    };
    let what = match mode {
        Mode::PasswordAndCode => "a password, then a code",
        Mode::PublicKeyAndCode => "a public key, then a code",
        Mode::Code => "a code",
    };
    format!(
        "# {what}: by `oss2fa-agent pam install`; `oss2fa-agent pam remove sshd` takes it away.\n\
         # The first value that sshd reads wins; `sshd -T` shows what is in force.\n\
         # The module works in PAM's conversation, which is sshd's \"keyboard-interactive\".\n\
         UsePAM yes\n\
         KbdInteractiveAuthentication yes\n\
         # sshd's own password question cannot ask for a code after it.\n\
         PasswordAuthentication no\n\
         AuthenticationMethods {}\n\
         {touch}\
         # At least [agent] login_timeout of agent.toml, for somebody who is still looking for their phone.\n\
         LoginGraceTime 130\n",
        methods(mode)
    )
}
