//! The words of refusals, with their stable codes.

use oss2fa_core::ids::{DeviceId, UserName};

use crate::admin::{RefusalCode, Refused};

pub(super) fn refused(code: RefusalCode, message: String) -> Refused {
    Refused { code, message }
}

pub(super) fn bad_request(what: &dyn std::fmt::Display) -> Refused {
    refused(RefusalCode::BadRequest, what.to_string())
}

// The reason is for the log: the caller may be anybody.
pub(super) fn unavailable(error: &dyn std::fmt::Display) -> Refused {
    tracing::error!(code = "admin", %error, "a request could not be done");
    refused(
        RefusalCode::Unavailable,
        "the agent could not do that now; its log says why: journalctl -u oss2fa-agent".to_owned(),
    )
}

pub(super) fn unknown_device(user: &UserName, device: DeviceId) -> Refused {
    refused(
        RefusalCode::UnknownDevice,
        format!("{user} has no device {device}. See: oss2fa-agent list --user {user}"),
    )
}

pub(super) fn last_factor(user: &UserName) -> Refused {
    refused(
        RefusalCode::LastFactor,
        format!(
            "this is the last device of {user}, who must have one. Enrol another first, or ask an \
             administrator of this host"
        ),
    )
}
