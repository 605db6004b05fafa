//! `check-config`: whether the server can use its configuration, and what it means.

use std::sync::Arc;

use rustls::crypto::ring;
use serde::Serialize;

use super::context::{Context, Form};
use super::dotted;
use super::failure::{Code, Failure};
use crate::config::{BusConfig, CertificateFiles, Config, PlainHttp, SmtpSecurity, Summary, TlsConfig};
use crate::keys::{MasterKeySource, MasterKeys};
use crate::listen::{CertificateResolver, Origin, PairFiles};
use crate::message::Delivery;
use crate::open::{check_folders, key_source, place};
use crate::outside::Timestamp;
use crate::yubico::ValidationServers;

/// Check the configuration, with the password, key and certificate files that it names
///
/// Nothing is made and nobody is connected to. Run it as the user that runs the server: files are read.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckConfig {}

#[derive(Debug, Serialize)]
struct Report<'a> {
    status: &'static str,
    config: Summary<'a>,
    warnings: Vec<String>,
}

impl CheckConfig {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let config = context.config()?;
        let mut warnings = Vec::new();
        let bad = |error: String| Failure::new(Code::BadConfiguration, error);
        let environment = context.environment;
        Delivery::configured(&config, Arc::clone(&environment.clock), Arc::clone(&environment.random))
            .map_err(|error| bad(error.to_string()))?;
        if let Some(section) = &config.yubico {
            ValidationServers::configured(section, Arc::clone(&environment.random))
                .map_err(|error| bad(error.to_string()))?;
        }
        check_folders(&config).map_err(|error| bad(error.to_string()))?;
        // What stands for the authorities of others is read as it is by a server that starts.
        place(&config).check().map_err(|error| bad(error.to_string()))?;
        if let Some(bus) = config.ungleich_otp.as_ref().and_then(|section| section.bus.as_ref()) {
            check_bus(bus).map_err(bad)?;
        }
        check_tls(&config, context.now(), &mut warnings).map_err(bad)?;
        check_key(context, &config, &mut warnings).map_err(bad)?;
        look_closer(&config, &mut warnings);
        let report = Report { status: "ok", config: config.summary(), warnings };
        if context.form == Form::Json {
            return context.console.json(&report);
        }
        let tree = serde_json::to_value(&report.config).map_err(|error| bad(error.to_string()))?;
        for line in dotted::lines(&tree) {
            context.console.say(&line)?;
        }
        for warning in &report.warnings {
            context.console.note(&format!("warning: {warning}"))?;
        }
        context.console.say("The configuration can be used.")
    }
}

#[cfg(feature = "bus")]
fn check_bus(bus: &BusConfig) -> Result<(), String> {
    crate::bus::Target::new(bus).map(drop).map_err(|error| error.to_string())
}

#[cfg(not(feature = "bus"))]
fn check_bus(_: &BusConfig) -> Result<(), String> {
    Err("[ungleich_otp] bus_url is set, and this oss2fa-server was built without the bus".to_owned())
}

fn check_tls(config: &Config, now: Timestamp, warnings: &mut Vec<String>) -> Result<(), String> {
    let (files, origin) = match &config.tls {
        TlsConfig::Off => {
            warnings.push(
                "tls.mode is off: tokens and codes pass in the clear between here and the proxy".into(),
            );
            return Ok(());
        }
        TlsConfig::SelfSigned(files) => (files, Origin::OwnPair),
        TlsConfig::Files(files) => (files, Origin::Given),
    };
    if origin == Origin::OwnPair && !files.certificate.exists() && !files.key.exists() {
        warnings.push(format!(
            "the certificate {} will be made on the first start, self-signed: clients must be given it",
            files.certificate.display()
        ));
        return Ok(());
    }
    let CertificateFiles { certificate, key } = files.clone();
    let pair = PairFiles { certificate, key };
    let resolver = CertificateResolver::open(pair, Arc::new(ring::default_provider()))
        .map_err(|error| error.to_string())?;
    warnings.extend(resolver.ending(origin, now).map(|ending| ending.words().to_owned()));
    Ok(())
}

fn check_key(context: &Context<'_, '_>, config: &Config, warnings: &mut Vec<String>) -> Result<(), String> {
    let Ok(source) = key_source(config, context.environment.credentials.as_deref()) else {
        warnings.push(
            "the master key is a credential that systemd passes to the server alone: not checked".into(),
        );
        return Ok(());
    };
    if matches!(&source, MasterKeySource::File(path) if !MasterKeys::is_there(path)) {
        warnings.push(format!("the master key {} will be made on the first start", source.path().display()));
        return Ok(());
    }
    MasterKeys::read(&source).map(|_| ()).map_err(|error| error.to_string())
}

/// What can be meant, and is most often a mistake.
fn look_closer(config: &Config, warnings: &mut Vec<String>) {
    if config.smtp.as_ref().is_some_and(|smtp| smtp.security == SmtpSecurity::DangerPlain) {
        warnings.push("smtp.security is danger_plain: codes and the password pass in the clear".into());
    }
    if config.webhooks.plain_http == PlainHttp::Danger {
        warnings.push("webhooks.danger_plain_http: events can be read and held back on their way".into());
    }
    if config.smtp.is_none() && config.sms.is_none() {
        warnings
            .push("neither [smtp] nor [sms]: devices of the kinds email and sms cannot be enrolled".into());
    }
}
