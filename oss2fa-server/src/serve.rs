//! `oss2fa-server serve`: everything put together, the banner, and an orderly end.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use oss2fa_core::random::Random;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

#[cfg(feature = "bus")]
use crate::bus;
use crate::config::{Config, SmtpConfig, TlsConfig};
use crate::device::Kinds;
use crate::housekeeping;
use crate::http::extract::Recognised;
use crate::http::limits::Limiter;
use crate::http::log::RequestIds;
use crate::http::metrics::Exporter;
use crate::http::peer::{Direct, Proxies};
use crate::http::{App, Operations, Parts, router};
use crate::listen::{
    self, LOOK_EVERY, ListenLimits, Origin, PairFiles, PerAddress, Tls, Transport, self_signed,
    tell_of_expiry,
};
use crate::message::Delivery;
use crate::open::{First, open};
use crate::outside::Clock;
use crate::service::Service;
use crate::service::apps::Apps;
use crate::service::validation::Validation;
use crate::store::Store;
use crate::store::verbs::Page;
use crate::store::verbs::integrations::ListIntegrations;
use crate::store::verbs::tenants::ListTenants;
use crate::webhook::{self, Timing};
use crate::yubico::{self, OtpAuthority, ValidationServers};

/// The version of the API that the banner names.
const VERSION: &str = "1.0";

/// How often limits forget who has been quiet.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// Whoever reads a long audit and works on each line stops for longer than whoever reads an answer: so many times
/// `request_timeout`. The system's buffers, which must empty in part, hold some megabytes.
const STREAM: u32 = 10;

/// What closing the store may take once all requests have ended.
const CLOSING: Duration = Duration::from_secs(15);

/// Subject of mails where none is configured.
const SUBJECT: &str = "Your code";

/// Serves until it is told to stop. `out` takes the banner.
///
/// # Errors
/// What kept it from starting, with the cure.
pub async fn serve(
    config: Config,
    credentials: Option<&Path>,
    host: &str,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    // Before a first start makes anything: one that ends here shows its token the next time.
    let listener = listen::bind(config.listen)?;
    let (store, first) = open(&config, credentials, &*clock, Arc::clone(&random)).await?;
    let store = Arc::new(store);
    // Whoever holds the other end is told to stop when this one is dropped.
    let (stopping, told) = watch::channel(());
    let ready = || {
        let app = app(&config, Arc::clone(&store), Arc::clone(&clock), random)?;
        let transport = transport(&config, host, &clock)?;
        let bus = bus(&config, &app, &clock, told)?;
        // Before anybody is told that the server runs: from here on none of them kills it.
        let told_to_stop = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        anyhow::Ok((app, transport, bus, told_to_stop, signal(SignalKind::hangup())?))
    };
    let (app, transport, bus, (mut terminate, mut interrupt), hangups) = match ready() {
        Ok(ready) => ready,
        Err(error) => {
            // The store is made, and what proves its integration is shown now and never again.
            if let Some(First { tenant, credentials, .. }) = &first {
                write!(
                    out,
                    "{}",
                    lines(&[("Tenant", &tenant.public_id), ("Integration", credentials.token.expose())])
                )?;
            }
            return Err(error);
        }
    };
    write!(out, "{}", banner(&store, listener.local_addr()?, &transport, first).await?)?;
    out.flush()?;
    tell_systemd(&[NotifyState::Ready]);
    let bus = bus.map(tokio::spawn);
    let limits = ListenLimits {
        connections: config.limits.connections.get() as usize,
        per_address: PerAddress {
            most: config.limits.connections_per_address.get() as usize,
            exempt: config.proxy.as_ref().map(|proxy| proxy.trusted.clone()).unwrap_or_default(),
        },
        request_timeout: config.limits.request_timeout,
        stream_timeout: config.limits.request_timeout * STREAM,
        handshake_timeout: Duration::from_secs(10),
        stop_grace: config.limits.stop_grace,
    };
    let grace = config.limits.stop_grace;
    let stop = async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        tell_systemd(&[NotifyState::Stopping, ends_within(grace)]);
        drop(stopping);
        tracing::info!(code = "stopping", "told to stop: requests under way are finished first");
    };
    let webhooks =
        webhook::Worker::new(Arc::clone(&store), Arc::clone(&clock), config.webhooks, Timing::default());
    let beside = [
        tokio::spawn(chores(app.clone())),
        tokio::spawn(app.operations.exporter.clone().keep_up()),
        tokio::spawn(reload_keys(Arc::clone(&store), hangups)),
        tokio::spawn(housekeeping::run(Arc::clone(&store), Arc::clone(&clock))),
        tokio::spawn(Arc::new(webhooks).run()),
    ];
    let drained = listen::serve(listener, transport, router::router(app), limits, stop).await;
    if let Some(bus) = bus {
        // It ends by itself, and has as long for that as the requests had.
        let _ended = bus.await;
    }
    beside.iter().for_each(tokio::task::JoinHandle::abort);
    tracing::info!(code = "stopped", finished = drained.finished, cut = drained.cut, "stopped");
    store.close().await;
    Ok(())
}

/// What answers the calls of the bus, where there is one.
#[cfg(feature = "bus")]
fn bus(
    config: &Config,
    app: &App,
    clock: &Arc<dyn Clock>,
    told: watch::Receiver<()>,
) -> anyhow::Result<Option<impl Future<Output = ()> + use<>>> {
    let Some(section) = &config.ungleich_otp else { return Ok(None) };
    let (Some(bus), Some(apps)) = (&section.bus, &app.apps) else { return Ok(None) };
    let parts = bus::Parts { apps: apps.clone(), clock: Arc::clone(clock), grace: config.limits.stop_grace };
    Ok(Some(bus::Bus::new(parts, section, bus)?.run(told)))
}

#[cfg(not(feature = "bus"))]
fn bus(
    config: &Config,
    _: &App,
    _: &Arc<dyn Clock>,
    _: watch::Receiver<()>,
) -> anyhow::Result<Option<std::future::Ready<()>>> {
    let wanted = config.ungleich_otp.as_ref().is_some_and(|section| section.bus.is_some());
    anyhow::ensure!(
        !wanted,
        "[ungleich_otp] bus_url is set, and this oss2fa-server was built without the bus"
    );
    Ok(None)
}

/// What answers requests, as the configuration says.
///
/// # Errors
/// What kept it from being made.
pub fn app(
    config: &Config,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> anyhow::Result<App> {
    let ids = Arc::new(RequestIds::new(&*random)?);
    let authority: Arc<dyn OtpAuthority> = match &config.yubico {
        Some(section) => Arc::new(ValidationServers::configured(section, Arc::clone(&random))?),
        None => Arc::new(yubico::Nobody),
    };
    let delivery = Delivery::configured(config, Arc::clone(&clock), random)?;
    let subject = config.smtp.as_ref().map_or(SUBJECT, |smtp: &SmtpConfig| smtp.subject.as_str());
    let service = Service {
        store,
        kinds: Kinds::all(),
        messenger: Arc::new(delivery),
        authority,
        clock,
        mail_subject: subject.into(),
    };
    let operations = Operations {
        request_timeout: config.limits.request_timeout,
        largest_body: config.limits.body,
        exporter: Exporter::install()?,
        metrics_allowed: config.metrics.allowed.clone(),
        webhooks_plain_http: config.webhooks.plain_http,
        ids,
    };
    let apps = config.ungleich_otp.as_ref().map(|section| Apps::new(service.clone(), section));
    let validation = Validation::new(service.clone());
    Ok(App::new(Parts {
        service,
        limiter: Limiter::new(&config.limits),
        proxies: Proxies::new(config.proxy.as_ref()).direct(match config.tls {
            TlsConfig::Off => Direct::FromHere,
            TlsConfig::SelfSigned(_) | TlsConfig::Files(_) => Direct::Taken,
        }),
        recognised: Recognised::default(),
        operations,
        apps,
        validation,
    }))
}

/// Has SIGHUP read the master keys anew; the TLS certificate sees to itself.
async fn reload_keys(store: Arc<Store>, mut hangups: Signal) {
    while hangups.recv().await.is_some() {
        match store.ring().reload() {
            Ok(()) => tracing::info!(code = "keys_loaded", "the master keys were read again"),
            Err(error) => {
                tracing::error!(code = "keys_reload", %error, "the master keys cannot be read: the old ones stay");
            }
        }
    }
}

/// How long systemd is to wait at least: its own limit may be shorter than the grace, and it kills.
fn ends_within(grace: Duration) -> NotifyState<'static> {
    let most = (grace + CLOSING).as_micros();
    NotifyState::ExtendTimeoutUsec(u32::try_from(most).unwrap_or(u32::MAX))
}

fn tell_systemd(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(code = "notify", %error, "systemd cannot be told how the server is");
    }
}

/// What is done beside the requests.
async fn chores(app: App) {
    let mut every = tokio::time::interval(FORGET_EVERY);
    loop {
        every.tick().await;
        app.limiter.forget();
    }
}

fn transport(config: &Config, host: &str, clock: &Arc<dyn Clock>) -> anyhow::Result<Transport> {
    let (files, origin) = match &config.tls {
        TlsConfig::Off => return Ok(Transport::Plain),
        TlsConfig::SelfSigned(_) => {
            let now = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(clock.now().0) * 1000)?;
            (self_signed::pair(&config.data_dir, host, now)?, Origin::OwnPair)
        }
        TlsConfig::Files(files) => {
            let files = PairFiles { certificate: files.certificate.clone(), key: files.key.clone() };
            (files, Origin::Given)
        }
    };
    let tls = Tls::open(files)?;
    tokio::spawn(tls.resolver().watch(LOOK_EVERY));
    tokio::spawn(tell_of_expiry(tls.resolver(), origin, Arc::clone(clock)));
    Ok(Transport::Tls(tls))
}

/// What a new administrator sees first.
async fn banner(
    store: &Store,
    address: SocketAddr,
    transport: &Transport,
    first: Option<First>,
) -> anyhow::Result<String> {
    let tls = match transport {
        Transport::Plain => "disabled",
        Transport::Tls(_) => "enabled",
    };
    let (tenant, integration) = match first {
        Some(First { tenant, credentials, .. }) => (tenant.public_id, credentials.token.expose().to_owned()),
        None => {
            let page = Page { after: 0, limit: 1 };
            match store.read(ListTenants { page }).await?.pop() {
                None => {
                    ("none: make one with: oss2fa-server tenant create NAME".to_owned(), "none".to_owned())
                }
                Some(tenant) => {
                    let list = ListIntegrations { tenant: tenant.pk, page };
                    let words = match store.read(list).await?.pop() {
                        None => "none: make one with: oss2fa-server integration create NAME".to_owned(),
                        Some(integration) => format!(
                            "{name} (token shown on first start; replace it with: \
                             oss2fa-server integration rotate-token {name})",
                            name = integration.name
                        ),
                    };
                    (tenant.public_id, words)
                }
            }
        }
    };
    let text = lines(&[
        ("Listener 1", &format!("tcp (addr: \"{address}\", tls: \"{tls}\")")),
        ("Tenant", &tenant),
        ("Integration", &integration),
        ("Version", &format!("OSS2FA v{VERSION}")),
    ]);
    Ok(text + "\n==> OSS2FA server started\n")
}

fn lines(said: &[(&str, &str)]) -> String {
    said.iter().map(|(label, value)| format!("{label:>24}: {value}\n")).collect()
}
