//! sshd: its own configuration and its stack together.

use super::doors::{self, OpenDoor, Why};
use super::report::{ServiceReport, Verdict};
use super::sshd_config::{Block, SshdConfig};
use super::stack::Phase;
use super::tree::Tree;
use super::{SSHD, Walked, told};

pub(super) fn examine(tree: &Tree, walked: Walked) -> ServiceReport {
    let config = match SshdConfig::load(tree) {
        Ok(Some(config)) => config,
        // Its stack all the same: the package may be about to come.
        Ok(None) => SshdConfig::assumed(),
        Err(unusable) => {
            let place = unusable.at.as_ref().map_or_else(String::new, |at| format!("{at} "));
            return ServiceReport {
                service: SSHD.to_owned(),
                verdict: Verdict::Unclear,
                sentence: format!("{place}{}", unusable.why),
                line: unusable.at,
                cure: Some("correct the configuration of sshd until `sshd -t` has nothing to say".to_owned()),
                notes: walked.notes.clone(),
            };
        }
    };
    if let Some(named) = config.other_stack(SSHD) {
        return ServiceReport {
            service: SSHD.to_owned(),
            verdict: Verdict::Unclear,
            sentence: format!(
                "with {}, sshd goes by another stack than this one",
                named.told("PAMServiceName")
            ),
            line: named.place.clone(),
            cure: Some(format!(
                "take that setting out, or examine the stack that counts by `oss2fa-agent doctor {}`",
                named.value
            )),
            notes: walked.notes.clone(),
        };
    }
    let mut notes = walked.notes.clone();
    if let Some(why) = &config.unasked {
        notes.push(format!("sshd itself was not asked ({why}): what is said here is read from its files"));
    }
    if let Some(gap) = walked.auth.gap.as_ref().filter(|_| !walked.stack.names_the_module()) {
        return super::open(SSHD, &walked, gap);
    }
    for blocks in doors::combinations(&config) {
        if let Some(door) = doors::open_door(&config, &blocks, &walked.auth, &walked.account) {
            return open(&walked, &blocks, &door, notes);
        }
    }
    notes.extend(hindrances(&config));
    if !walked.lets_anybody_in() {
        return super::nobody(SSHD, Walked { notes, ..walked });
    }
    let auth = walked.auth.gap.is_none();
    let sentence = match (auth, walked.account.gap.is_none()) {
        (true, true) => format!(
            "every login is asked for a second factor by {}, and {} refuses one that has shown none",
            told(&walked, Phase::Auth),
            told(&walked, Phase::Account)
        ),
        (false, true) => {
            format!("{} refuses whoever has shown no second factor", told(&walked, Phase::Account))
        }
        _ => {
            if let Some(gap) = walked.account.gap.as_ref().filter(|_| auth) {
                notes.push(format!(
                    "nothing but sshd's AuthenticationMethods keeps a public key alone from being enough, since {}: {}",
                    gap.what, gap.cure
                ));
            }
            format!("every login is asked for a second factor by {}", told(&walked, Phase::Auth))
        }
    };
    ServiceReport::protected(SSHD, sentence, notes)
}

fn open(walked: &Walked, blocks: &[&Block], door: &OpenDoor, notes: Vec<String>) -> ServiceReport {
    let name = match door.why {
        Why::NoPam => "UsePAM",
        Why::AccountOnly | Why::Auth => "AuthenticationMethods",
    };
    let setting = door.setting.told(name);
    let whose = match blocks.iter().rfind(|block| !block.is_for_all()) {
        Some(block) => format!(" where `Match {}` at {} holds", block.criteria, block.place),
        None => String::new(),
    };
    let methods = match door.methods.as_str() {
        "publickey" => "a public key alone",
        "password" => "a password alone",
        "none" => "an empty password",
        other => other,
    };
    let gap = match door.why {
        Why::NoPam => None,
        Why::AccountOnly => walked.account.gap.as_ref(),
        Why::Auth => walked.auth.gap.as_ref(),
    };
    let (why, line, cure) = match (door.why, gap) {
        (Why::NoPam, _) | (_, None) => (
            format!("with {setting}, sshd asks PAM for nothing, and {methods} is enough{whose}"),
            door.setting.place.clone(),
            "write `UsePAM yes`".to_owned(),
        ),
        (Why::Auth, Some(gap)) => (
            format!("{}{}{whose}", gap.what, file(walked, gap.place.is_none())),
            gap.place.clone(),
            gap.cure.clone(),
        ),
        (_, Some(gap)) => (
            format!(
                "{methods} is enough{whose}, by {setting}: {}{}",
                gap.what,
                file(walked, gap.place.is_none())
            ),
            gap.place.clone().or_else(|| door.setting.place.clone()),
            gap.cure.clone(),
        ),
    };
    ServiceReport {
        service: SSHD.to_owned(),
        verdict: Verdict::Open,
        sentence: why,
        line,
        cure: Some(cure),
        notes,
    }
}

fn file(walked: &Walked, wanted: bool) -> String {
    match &walked.stack.file {
        Some(file) if wanted => format!(" in {}", file.display()),
        _ => String::new(),
    }
}

/// What keeps everybody out, or leaves them with one factor less than it looks.
fn hindrances(config: &SshdConfig) -> Vec<String> {
    let mut notes = Vec::new();
    let methods = doors::doors(config, &[]);
    let asks = methods.iter().flatten().any(|method| method == "keyboard-interactive");
    if !config.is_on("usepam", &[]) {
        notes.push(format!(
            "with {}, nobody can be asked for a code",
            config.setting("usepam", &[]).told("UsePAM")
        ));
    } else if !asks {
        let setting = match config.is_on("kbdinteractiveauthentication", &[]) {
            true => config.setting("authenticationmethods", &[]).told("AuthenticationMethods"),
            false => config.setting("kbdinteractiveauthentication", &[]).told("KbdInteractiveAuthentication"),
        };
        notes.push(format!(
            "with {setting}, sshd cannot ask for a code, so nobody who must show one gets in: \
             it takes KbdInteractiveAuthentication yes, and keyboard-interactive in AuthenticationMethods"
        ));
    }
    if config.is_on("permitemptypasswords", &[]) {
        let setting = config.setting("permitemptypasswords", &[]).told("PermitEmptyPasswords");
        notes.push(format!("with {setting}, an account without a password is asked for its code alone"));
    }
    notes
}
