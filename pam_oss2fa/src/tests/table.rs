//! The outcome table as data, and its numbers against libpam's own header.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::{fs, io};

use oss2fa_core::wire::Outcome;
use pam::constants::PamResultCode;

use super::login;
use crate::agent::AgentError;
use crate::options::{Options, Phase};
use crate::outcome::{Ending, Failure, PamCode};
use crate::pam::PamError;
use crate::proof::Proof;
use crate::system::Uid;

const OUTCOMES: [Outcome; 8] = [
    Outcome::Verified,
    Outcome::Refused,
    Outcome::Locked,
    Outcome::UserUnknown,
    Outcome::NotEnrolled,
    Outcome::Skipped,
    Outcome::Unavailable,
    Outcome::Misconfigured,
];

fn proof() -> Proof {
    Proof::from_agent(Outcome::Verified, &login()).unwrap()
}

fn table() -> Vec<(Ending, PamCode)> {
    let bad = Options::parse(&[b"nullok".to_vec()], Phase::Auth).unwrap_err();
    vec![
        (Ending::Verified(proof()), PamCode::Success),
        (Ending::Refused, PamCode::AuthErr),
        (Ending::Locked, PamCode::MaxTries),
        (Ending::UserUnknown, PamCode::UserUnknown),
        (Ending::NotEnrolled, PamCode::AuthErr),
        (Ending::Skipped, PamCode::Ignore),
        (Ending::Undecided, PamCode::AuthinfoUnavail),
        (Ending::Misconfigured, PamCode::ServiceErr),
        (Ending::SeenBefore(proof()), PamCode::Success),
        (Ending::NotRequired, PamCode::Success),
        (Ending::Unproven, PamCode::PermDenied),
        (Ending::NoOpinion, PamCode::Ignore),
        (Ending::NothingToSet, PamCode::Success),
        (Ending::Failed(Failure::Argument(bad)), PamCode::ServiceErr),
        (Ending::Failed(Failure::NoUser), PamCode::UserUnknown),
        (Ending::Failed(Failure::NoService), PamCode::ServiceErr),
        (Ending::Failed(Failure::UserChanged), PamCode::AuthErr),
        (Ending::Failed(Failure::Agent(AgentError::Closed)), PamCode::AuthinfoUnavail),
        (Ending::Failed(Failure::Agent(AgentError::Stranger(Uid(7)))), PamCode::AuthinfoUnavail),
        (
            Ending::Failed(Failure::Agent(AgentError::Connection(io::ErrorKind::Other.into()))),
            PamCode::AuthinfoUnavail,
        ),
        (Ending::Failed(Failure::Pam(PamError::Conversation)), PamCode::ConvErr),
        (Ending::Failed(Failure::Pam(PamError::Memory)), PamCode::BufErr),
        (Ending::Failed(Failure::Pam(PamError::Libpam)), PamCode::SystemErr),
        (Ending::Failed(Failure::Defect), PamCode::Abort),
    ]
}

#[test]
fn every_ending_has_the_code_that_the_table_says() {
    for (ending, code) in table() {
        assert_eq!(ending.code(), code, "{ending:?}");
    }
}

#[test]
fn one_outcome_of_the_auth_phase_is_success_and_one_is_ignored() {
    let codes = OUTCOMES.map(|outcome| Ending::of_auth(outcome, &login()).code());
    assert_eq!(codes.iter().filter(|code| **code == PamCode::Success).count(), 1);
    assert_eq!(codes.iter().filter(|code| **code == PamCode::Ignore).count(), 1);
    assert_eq!(codes[0], PamCode::Success);
    assert_eq!(codes[5], PamCode::Ignore);
}

#[test]
fn no_outcome_lets_anybody_in_in_the_account_phase() {
    for outcome in OUTCOMES {
        let code = Ending::of_account(outcome).code();
        assert!(!matches!(code, PamCode::Success | PamCode::Ignore), "{outcome:?}");
    }
}

#[test]
fn a_proof_comes_from_one_outcome_alone() {
    for outcome in OUTCOMES {
        assert_eq!(Proof::from_agent(outcome, &login()).is_some(), outcome == Outcome::Verified);
    }
}

#[test]
fn the_numbers_are_libpam_s() {
    let header = fs::read_to_string("/usr/include/security/_pam_types.h").unwrap();
    let defined: HashMap<&str, i32> = header
        .lines()
        .filter_map(|line| {
            let mut words = line.strip_prefix("#define")?.split_whitespace();
            Some((words.next()?, words.next()?.parse().ok()?))
        })
        .collect();
    for (code, name, bound) in [
        (PamCode::Success, "PAM_SUCCESS", PamResultCode::PAM_SUCCESS),
        (PamCode::ServiceErr, "PAM_SERVICE_ERR", PamResultCode::PAM_SERVICE_ERR),
        (PamCode::SystemErr, "PAM_SYSTEM_ERR", PamResultCode::PAM_SYSTEM_ERR),
        (PamCode::BufErr, "PAM_BUF_ERR", PamResultCode::PAM_BUF_ERR),
        (PamCode::PermDenied, "PAM_PERM_DENIED", PamResultCode::PAM_PERM_DENIED),
        (PamCode::AuthErr, "PAM_AUTH_ERR", PamResultCode::PAM_AUTH_ERR),
        (PamCode::AuthinfoUnavail, "PAM_AUTHINFO_UNAVAIL", PamResultCode::PAM_AUTHINFO_UNAVAIL),
        (PamCode::UserUnknown, "PAM_USER_UNKNOWN", PamResultCode::PAM_USER_UNKNOWN),
        (PamCode::MaxTries, "PAM_MAXTRIES", PamResultCode::PAM_MAXTRIES),
        (PamCode::ConvErr, "PAM_CONV_ERR", PamResultCode::PAM_CONV_ERR),
        (PamCode::Ignore, "PAM_IGNORE", PamResultCode::PAM_IGNORE),
        (PamCode::Abort, "PAM_ABORT", PamResultCode::PAM_ABORT),
    ] {
        assert_eq!(Some(&code.number()), defined.get(name), "{name}");
        assert_eq!(code.number(), bound as i32, "{name}");
    }
}
