//! A network of a test's own: a namespace with nothing but loopback, where packets can be dropped.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::world::PATH;

/// Lives as long as its holder process.
#[derive(Debug)]
pub struct Network {
    holder: Child,
}

impl Network {
    /// Makes one.
    ///
    /// # Panics
    /// Without root.
    #[must_use]
    pub fn new() -> Self {
        let mut holder = Command::new("/usr/bin/unshare")
            .args(["--net", "/bin/sh", "-c", "ip link set lo up && echo ready && read -r end"])
            .env_clear()
            .env("PATH", PATH)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare of util-linux");
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "ready", "the network could not be made");
        Self { holder }
    }

    /// Where it can be entered.
    #[must_use]
    pub fn namespace(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    /// From now on, what is sent to this port disappears.
    pub fn drop_packets_to(&self, port: u16) {
        self.rule("-I", port);
    }

    /// And from now on it arrives again.
    pub fn pass_packets_to(&self, port: u16) {
        self.rule("-D", port);
    }

    fn rule(&self, verb: &str, port: u16) {
        let network = format!("--net={}", self.namespace());
        let rule = format!("{verb} INPUT -p tcp --dport {port} -j DROP");
        let words = rule.split(' ');
        let ran = Command::new("/usr/bin/nsenter")
            .args([&network, "--", "/usr/sbin/iptables", "-w"])
            .args(words)
            .output();
        let ran = ran.expect("nsenter of util-linux");
        assert!(ran.status.success(), "iptables {rule}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _gone = self.holder.wait();
    }
}
