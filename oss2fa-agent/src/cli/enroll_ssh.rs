//! `enroll ssh-sk`: a key of OpenSSH that lives on a security key, by its public part.

use std::path::Path;

use oss2fa_core::factor::ssh_sk::SkKey;
use oss2fa_core::ids::DeviceName;

use super::arguments::shown_id;
use super::context::Context;
use super::failure::{Failure, OwnCode};
use super::import_file;
use super::proof::Proof;
use crate::admin::{Request, Response};

/// Has the daemon know the key in `file`. What its maker wrote behind it names it, where nobody names it otherwise.
pub(crate) fn run(
    context: &mut Context<'_, '_>,
    user: &str,
    file: &Path,
    name: Option<&DeviceName>,
    proof: &Proof,
) -> Result<(), Failure> {
    let text = import_file::read(file)?;
    let (key, comment) = SkKey::from_pub_file(&text).map_err(|bad| {
        Failure::new(OwnCode::BadFile, format!("{} cannot be enrolled: {bad}", file.display()))
    })?;
    let name = name.cloned().or_else(|| comment.and_then(|comment| DeviceName::new(comment).ok()));
    let agent = context.agent()?;
    let answer = proof.send(&agent, context, |proof| Request::EnrollSshKey {
        user: user.to_owned(),
        key: key.to_line(),
        name: name.clone(),
        proof,
    })?;
    let Response::Device(view) = answer else { return Err(Failure::out_of_place(&answer)) };
    let words = format!(
        "Done: device {} ({}) of {} is the key {}.\n\
         Its touch counts in logins by ssh where this host's policy says so (ssh_touch_services) and sshd insists on \
         it; everywhere else another device is asked for.",
        shown_id(view.device),
        view.name,
        view.user,
        key.fingerprint()
    );
    context.answer(&view, &words)
}
