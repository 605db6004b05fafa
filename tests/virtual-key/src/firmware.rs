//! The board that the firmware runs on: its memory, its random source, its button.

use std::path::PathBuf;
use std::sync::mpsc::{self, Sender};
use std::{fs, thread};

use ctaphid_dispatch::app::Command;
use ctaphid_dispatch::{Channel, DEFAULT_MESSAGE_SIZE, Dispatch, Requester};
use fido_authenticator::{Authenticator, Config, Conforming};
use heapless_bytes::Bytes;
use littlefs2_core::path;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use ref_swap::OptionRefSwap;
use trussed::backend::BackendId;
use trussed::pipe::{ServiceEndpoint, TrussedChannel};
use trussed::platform::{Platform, Syscall};
use trussed::store::Store;
use trussed::types::CoreContext;
use trussed::virt::{self, StorageConfig, StoreConfig};
use trussed::{ClientImplementation, Service};
use trussed_core::InterruptFlag;
use trussed_staging::virt::{BackendIds, Dispatcher};

use crate::framing::{Application, Kind};
use crate::touch::{Presence, Touch};

/// How the firmware's application is told to give up.
static INTERRUPT: InterruptFlag = InterruptFlag::new();

/// The same, while it is at work.
static WORKING: OptionRefSwap<'static, InterruptFlag> = OptionRefSwap::new(None);

static BACKENDS: [BackendId<BackendIds>; 2] =
    [BackendId::Custom(BackendIds::StagingBackend), BackendId::Core];

/// Before the scalar of a P-256 key in the firmware's memory: it is secret, and of that curve.
const KEY_HEADER: [u8; 4] = [0, 2, 0, 5];

/// What the key is made of.
#[derive(Debug)]
pub struct Board {
    /// The attestation's certificate, in DER.
    pub certificate: Vec<u8>,
    /// Its key.
    pub key: [u8; 32],
    /// The folder of what stays without power.
    pub store: PathBuf,
    /// The finger.
    pub touch: PathBuf,
}

/// The application of the firmware, as the framing sees it.
pub struct Firmware<'a> {
    requester: Requester<'a, DEFAULT_MESSAGE_SIZE>,
    awake: Sender<()>,
    presence: Presence,
}

impl Firmware<'_> {
    /// What it has answered.
    pub fn answer(&mut self) -> Option<Vec<u8>> {
        self.presence.forget();
        self.requester.take_response().and_then(|answer| answer.0.ok()).map(|bytes| bytes.to_vec())
    }
}

impl Application for Firmware<'_> {
    fn request(&mut self, kind: Kind, data: &[u8]) {
        let command = match kind {
            Kind::Msg => Command::Msg,
            Kind::Cbor => Command::Cbor,
        };
        let data = Bytes::try_from(data).expect("a message that fits");
        self.requester.request((command, data)).expect("one request at a time");
        self.awake.send(()).expect("the application");
    }

    fn cancel(&mut self) {
        if let Some(flag) = WORKING.load(std::sync::atomic::Ordering::Relaxed) {
            let _told = flag.interrupt();
        }
    }
}

struct Call(Sender<()>);

impl Syscall for Call {
    fn syscall(&mut self) {
        self.0.send(()).expect("the service");
    }
}

impl Board {
    /// Gives the board power. `answered` is called whenever there is an answer to fetch; `host` is the other
    /// side, and never comes back.
    pub fn run(
        self,
        answered: impl Fn() + Send,
        host: impl FnOnce(Firmware<'_>, Presence) -> std::convert::Infallible,
    ) {
        fs::create_dir_all(&self.store).expect("the folder of its memory");
        let memory = StoreConfig {
            internal: StorageConfig::filesystem(self.store.join("internal")),
            external: StorageConfig::filesystem(self.store.join("external")),
            volatile: StorageConfig::ram(),
        };
        virt::with_platform(memory, |mut platform| {
            // The crate's own seed is a constant: two keys would be one.
            *platform.rng() = ChaCha8Rng::from_seed(seed());
            let presence = Presence::default();
            let touch = Touch { file: self.touch.clone(), presence: presence.clone() };
            platform.user_interface().set_inner(Box::new(touch));
            let files = platform.store();
            let files = files.ifs();
            for folder in [path!("fido/x5c"), path!("fido/sec")] {
                files.create_dir_all(folder).expect("a folder in its memory");
            }
            files.write(path!("fido/x5c/00"), &self.certificate).expect("the certificate in its memory");
            let key = [KEY_HEADER.as_slice(), &self.key].concat();
            files.write(path!("fido/sec/00"), &key).expect("the key in its memory");

            let crypto = TrussedChannel::new();
            let (client, service) = crypto.split().expect("a new channel");
            let context = CoreContext::with_interrupt(path!("fido").into(), Some(&INTERRUPT));
            let mut endpoints = [ServiceEndpoint::new(service, context, &BACKENDS)];
            let mut service = Service::with_dispatch(platform, Dispatcher::default());
            let (call, calls) = mpsc::channel();
            let client: ClientImplementation<'_, _, Dispatcher> =
                ClientImplementation::new(client, Call(call), Some(&INTERRUPT));
            let mut application =
                Authenticator::new(client, Conforming {}, Config::new(DEFAULT_MESSAGE_SIZE));

            let requests = Channel::new();
            let (requester, responder) = requests.split().expect("a new channel");
            let (awake, asleep) = mpsc::channel();
            thread::scope(|threads| {
                threads.spawn(move || {
                    while calls.recv().is_ok() {
                        service.process(&mut endpoints);
                    }
                });
                threads.spawn(move || {
                    let mut dispatch = Dispatch::with_interrupt(responder, Some(&WORKING));
                    while asleep.recv().is_ok() {
                        dispatch.poll(&mut [&mut application]);
                        answered();
                    }
                });
                let firmware = Firmware { requester, awake, presence: presence.clone() };
                host(firmware, presence)
            });
        });
    }
}

fn seed() -> [u8; 32] {
    use std::io::Read;
    let mut seed = [0; 32];
    let mut source = fs::File::open("/dev/urandom").expect("a random source");
    source.read_exact(&mut seed).expect("random bytes");
    seed
}
