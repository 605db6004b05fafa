//! Puts load on a server and prints what came of it as JSON. Without `--bodies` it asks by GET, again and
//! again; with it each line of the file is the body of one POST.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::fs;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use oss2fa_tests::load::{Expected, Head, Outcome, Pace, Plan, Requests, Target, TrustedCertificate, run};

/// A load generator for HTTP/1.1 over TLS or in the clear.
#[derive(Debug, Parser)]
struct Arguments {
    /// http://HOST:PORT/PATH or https://HOST:PORT/PATH.
    url: String,
    /// PEM file of the one certificate to trust; needed with https.
    #[arg(long)]
    certificate: Option<PathBuf>,
    /// A file with a body a line; each is sent once. The run ends early where they run out.
    #[arg(long)]
    bodies: Option<PathBuf>,
    /// A header as NAME: VALUE; may be repeated.
    #[arg(long = "header")]
    headers: Vec<String>,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Seconds at first that do not count.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Seconds that count.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Requests that fall due each second; as many as the server answers if not given.
    #[arg(long)]
    rate: Option<f64>,
    /// The status that counts as accepted.
    #[arg(long, default_value_t = 200)]
    status: u16,
    /// What the body of an accepted answer contains.
    #[arg(long, default_value = "")]
    contains: String,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let outcome = measure(&arguments)?;
    println!("{}", serde_json::to_string_pretty(&outcome)?);
    let flawless = outcome.flawless().is_ok();
    Ok(if flawless { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure(arguments: &Arguments) -> Result<Outcome> {
    let (target, authority, path) = target(arguments)?;
    let split = |header: &String| {
        let (name, value) =
            header.split_once(':').with_context(|| format!("{header:?} is not NAME: VALUE"))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    };
    let headers = arguments.headers.iter().map(split).collect::<Result<_>>()?;
    let head = Head { authority, path, headers };
    let mut requests = match &arguments.bodies {
        None => Requests::get(&head),
        Some(file) => {
            let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
            Requests::post(&head, text.lines())
        }
    };
    let plan = Plan {
        connections: arguments.connections,
        warm_up: Duration::try_from_secs_f64(arguments.warm_up)?,
        measured: Duration::try_from_secs_f64(arguments.seconds)?,
        pace: arguments.rate.map_or(Pace::Full, Pace::PerSecond),
        expected: Expected { status: arguments.status, contains: arguments.contains.clone().into_bytes() },
    };
    Ok(run(&target, &mut requests, &plan)?)
}

fn target(arguments: &Arguments) -> Result<(Target, String, String)> {
    let url = &arguments.url;
    let Some((scheme, rest)) = url.split_once("://") else { bail!("{url:?} does not begin with https://") };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let address: SocketAddr = authority
        .to_socket_addrs()
        .ok()
        .and_then(|mut all| all.next())
        .with_context(|| format!("{authority:?} is not HOST:PORT"))?;
    let target = match (scheme, &arguments.certificate) {
        ("http", _) => Target::plain(address),
        ("https", Some(file)) => Target::tls(address, TrustedCertificate::from_file(file)?),
        ("https", None) => bail!("https needs --certificate FILE, the one to trust"),
        _ => bail!("{url:?} is neither http nor https"),
    };
    Ok((target, authority.to_owned(), format!("/{path}")))
}
