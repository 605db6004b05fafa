//! What `--help` says, and what is made from the same words: manual pages and completions.

use std::fs;
use std::process::Command;

use oss2fa_server::cli;

use crate::host::Host;

fn each(command: &clap::Command, words: &mut Vec<String>, visit: &mut dyn FnMut(&[String], &clap::Command)) {
    visit(words, command);
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        words.push(sub.get_name().to_owned());
        each(sub, words, visit);
        words.pop();
    }
}

fn built() -> clap::Command {
    let mut command = cli::command();
    command.build();
    command
}

#[test]
fn the_command_line_holds_together() {
    cli::command().debug_assert();
}

#[test]
fn help_of_every_command() {
    let mut all = String::new();
    each(&built(), &mut Vec::new(), &mut |words, command| {
        let help = command.clone().term_width(100).render_long_help();
        let words: String = words.iter().map(|word| format!(" {word}")).collect();
        all.push_str(&format!("$ oss2fa-server{words} --help\n{help}\n\n"));
    });
    insta::assert_snapshot!(all);
}

#[test]
fn nothing_at_all_shows_the_help_and_version_goes_to_standard_output() {
    let host = Host::empty();
    let ran = host.run(&[]);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("Usage: oss2fa-server"), "{ran:?}");
    let ran = host.run(&["--version"]);
    assert_eq!((ran.status, ran.stdout), (0, format!("oss2fa-server {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn every_command_has_a_manual_page_that_man_can_show() {
    let host = Host::empty();
    let folder = host.path("man");
    fs::create_dir(&folder).unwrap();
    host.done(&["man", folder.to_str().unwrap()]);
    let mut pages = 0;
    each(&built(), &mut Vec::new(), &mut |words, _| {
        let name = std::iter::once("oss2fa-server").chain(words.iter().map(String::as_str));
        let page = folder.join(format!("{}.1", name.collect::<Vec<_>>().join("-")));
        let shown = Command::new("groff")
            .args(["-man", "-Tutf8", "-ww", "-P-cbou"])
            .arg(&page)
            .output()
            .expect("groff (Debian package groff-base)");
        assert!(shown.status.success() && shown.stderr.is_empty(), "{}: {shown:?}", page.display());
        let text = String::from_utf8(shown.stdout).unwrap();
        assert!(text.contains("EXIT STATUS") && text.contains("server.toml"), "{}: {text}", page.display());
        pages += 1;
    });
    assert_eq!(fs::read_dir(&folder).unwrap().count(), pages);
    assert!(host.done(&["man"]).contains(".TH oss2fa-server 1"));
    let absent = host.path("absent");
    host.refused(&["man", absent.to_str().unwrap()], 1, "bad_file");
}

#[test]
fn completions_know_the_commands() {
    let host = Host::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = host.done(&["completions", shell]);
        for word in ["rotate-master", "check-config", "drop-old", "rotate-token"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
    assert_eq!(host.run(&["completions", "tcsh"]).status, 2);
}

#[test]
fn bash_completes_the_second_word() {
    let host = Host::empty();
    let script = host.path("completions.bash");
    fs::write(&script, host.done(&["completions", "bash"])).unwrap();
    let parsed = Command::new("bash").arg("-n").arg(&script).output().unwrap();
    assert!(parsed.status.success() && parsed.stderr.is_empty(), "{parsed:?}");
    let ask = format!(
        "source {}; COMP_WORDS=(oss2fa-server tenant ''); COMP_CWORD=2; \
         complete=$(complete -p oss2fa-server); function=${{complete##*-F }}; ${{function%% *}} oss2fa-server '' tenant; \
         echo ${{COMPREPLY[@]}}",
        script.display()
    );
    let asked = Command::new("bash").args(["-c", &ask]).output().unwrap();
    let answer = String::from_utf8(asked.stdout).unwrap();
    assert!(answer.contains("rotate-key") && !answer.contains("rotate-token"), "{answer}");
}
