//! Where a demonstration is shown: in colours on a terminal, plain elsewhere.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::io::{self, IsTerminal};

const WIDTH: usize = 96;

/// A page of a demonstration.
#[derive(Debug)]
pub struct Page {
    colours: bool,
}

impl Page {
    /// In colours where standard output is a terminal.
    #[must_use]
    pub fn for_terminal() -> Self {
        Self { colours: io::stdout().is_terminal() }
    }

    /// Whether programs that are shown may use colours.
    #[must_use]
    pub fn has_colours(&self) -> bool {
        self.colours
    }

    fn paint(&self, style: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// The title, and the last word.
    pub fn title(&self, text: &str) {
        println!("\n{}", self.paint("1", text));
    }

    /// A numbered heading.
    pub fn step(&self, number: &str, text: &str) {
        println!("\n{}\n", self.paint("1;36", &format!("{number}  {text}")));
    }

    /// Words that explain, in lines of equal width.
    pub fn words(&self, text: &str) {
        let mut line = String::new();
        for word in text.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
                println!("   {line}");
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        println!("   {line}");
    }

    /// What came of it.
    pub fn good(&self, text: &str) {
        println!("   {}", self.paint("32", &format!("-> {text}")));
    }

    /// A command as somebody would type it.
    pub fn command(&self, words: &str) {
        println!("   {}", self.paint("1", &format!("$ {words}")));
    }

    /// A command and what it shows.
    pub fn shell(&self, words: &str, output: &str) {
        self.command(words);
        self.output(output);
    }

    /// What a program shows.
    pub fn output(&self, text: &str) {
        for line in text.trim_end_matches('\n').lines() {
            println!("   {line}");
        }
    }

    /// What somebody types.
    #[must_use]
    pub fn keys(&self, typed: &str) -> String {
        self.paint("33", typed)
    }

    /// Commands for the reader.
    pub fn lines(&self, commands: &[&str]) {
        for command in commands {
            println!("      {}", self.paint("1", command));
        }
    }
}
