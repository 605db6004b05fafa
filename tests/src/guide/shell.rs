//! The shell blocks of a page as one script.

use std::fs;

use crate::workspace;

/// What a script begins with. bash lets a script go on after `! COMMAND` where the command has succeeded: a line that a
/// page begins so is one by which a script ends there.
const BEGINNING: &str = "set -euo pipefail\nset -x\n\
                         refused() { if \"$@\"; then echo \"this should have been refused: $*\" >&2; exit 99; fi; }\n";

/// How many blocks of `sh` a page of the repository has, and all of them as one script, which ends where a command fails
/// or one that must fail does not. Those of the languages `elsewhere` are run by another test.
///
/// # Panics
/// Where it has a block of yet another language.
#[must_use]
pub fn shell_guide(page: &str, elsewhere: &[&str]) -> (usize, String) {
    let guide = fs::read_to_string(workspace().join(page)).unwrap();
    let blocks: Vec<&str> =
        guide.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let of_another_test: usize =
        elsewhere.iter().map(|language| guide.matches(&format!("```{language}\n")).count()).sum();
    let all = blocks.len() + of_another_test;
    assert_eq!(guide.matches("```").count(), 2 * all, "{page}: every block is run");
    let script = format!("{BEGINNING}{}", blocks.concat());
    (blocks.len(), script.replace("\n! ", "\nrefused ").replace("&& ! ", "&& refused "))
}
