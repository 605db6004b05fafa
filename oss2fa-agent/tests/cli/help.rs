//! What `--help` says, and what is made from the same words: manual pages and completions.

use crate::scripted::Host;
use oss2fa_agent::cli::{self, Exit};

fn each(command: &clap::Command, words: &mut Vec<String>, visit: &mut dyn FnMut(&[String], &clap::Command)) {
    visit(words, command);
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        words.push(sub.get_name().to_owned());
        each(sub, words, visit);
        words.pop();
    }
}

#[test]
fn the_command_line_holds_together() {
    cli::command().debug_assert();
}

#[test]
fn help_of_every_command() {
    let mut command = cli::command();
    command.build();
    let mut all = String::new();
    each(&command, &mut Vec::new(), &mut |words, command| {
        let help = command.clone().term_width(100).render_long_help();
        all.push_str(&format!("$ oss2fa-agent {} --help\n{help}\n\n", words.join(" ")));
    });
    insta::assert_snapshot!(all);
}

#[test]
fn nothing_at_all_shows_the_help() {
    let ran = Host::new().run(&[]);
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.stderr.contains("Usage: oss2fa-agent"), "{ran}");
}

#[test]
fn version_goes_to_standard_output() {
    let ran = Host::new().run(&["--version"]);
    assert_eq!(ran.exit, Exit::Done);
    assert_eq!(ran.stdout, format!("oss2fa-agent {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_main_manual_page() {
    let page = Host::new().run(&["man"]).stdout;
    insta::assert_snapshot!(page.replace(env!("CARGO_PKG_VERSION"), "[VERSION]"));
}

#[test]
fn every_command_has_a_manual_page_that_names_the_exit_statuses() {
    let mut host = Host::new();
    let folder = host.path("man");
    std::fs::create_dir(&folder).unwrap();
    let ran = host.run(&["man", folder.to_str().unwrap()]);
    assert_eq!(ran.exit, Exit::Done, "{ran}");
    let mut command = cli::command();
    command.build();
    let mut pages = 0;
    each(&command, &mut Vec::new(), &mut |words, command| {
        let name =
            std::iter::once("oss2fa-agent").chain(words.iter().map(String::as_str)).collect::<Vec<_>>();
        let page = std::fs::read_to_string(folder.join(format!("{}.1", name.join("-")))).unwrap();
        assert!(page.contains(".SH \"EXIT STATUS\""), "{name:?}: {page}");
        let about = command.get_about().unwrap().to_string();
        assert!(page.contains(about.split([' ', '-', '\'']).next().unwrap()), "{name:?}: {page}");
        pages += 1;
    });
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), pages);
}

#[test]
fn pages_are_not_written_where_they_cannot_be() {
    let mut host = Host::new();
    let folder = host.path("absent");
    let ran = host.run(&["man", folder.to_str().unwrap()]);
    assert_eq!(ran.exit, Exit::Refused);
    assert!(ran.stderr.contains("could not be written"), "{ran}");
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = Host::new().run(&["completions", shell]);
        assert_eq!(ran.exit, Exit::Done);
        for word in ["recovery-codes", "google-authenticator", "check-config", "algorithm"] {
            assert!(ran.stdout.contains(word), "{shell} does not know {word}");
        }
    }
    assert_eq!(Host::new().run(&["completions", "tcsh"]).exit, Exit::Usage);
}

#[test]
fn what_does_not_go_together_is_said_so() {
    let mut all = String::new();
    for words in [
        "enroll",
        "enroll push",
        "enroll totp --digits 5",
        "enroll totp --algorithm md5",
        "enroll totp --period 5",
        "enroll totp --name \u{7}",
        "enroll hotp --period 60 --user ferris",
        "confirm --user ferris 123456",
        "confirm --device phone 123456",
        "remove --user ferris",
        "remove --user ferris --all",
        "remove --user ferris --forget --device 3",
        "remove --all --forget",
        "resync --device 3 123456",
        "unlock",
        "audit --follow --verify",
        "lst",
    ] {
        let mut line: Vec<&str> = words.split(' ').collect();
        let ran = Host::new().run(&line);
        assert_eq!(ran.exit, Exit::Usage, "{words}: {ran}");
        line.push("--json");
        let as_json = Host::new().run(&line);
        let error: serde_json::Value = serde_json::from_str(&as_json.stderr).unwrap();
        assert_eq!((as_json.exit, &error["error"]), (Exit::Usage, &"bad_usage".into()), "{words}: {as_json}");
        let message = error["message"].as_str().unwrap();
        assert!(as_json.stdout.is_empty() && !message.starts_with("error: "), "{words}: {as_json}");
        all.push_str(&format!("$ oss2fa-agent {}\n{ran}\n", words.escape_default()));
    }
    insta::assert_snapshot!(all);
}
