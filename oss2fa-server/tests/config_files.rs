//! Which files the server believes: its configuration, and passwords beside it.

#![expect(clippy::unwrap_used, reason = "a test may fail where it likes")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};
use oss2fa_server::config::{Config, ConfigError, Overrides, Source};
use tempfile::TempDir;

/// A folder with one file in it.
struct Folder(TempDir);

impl Folder {
    fn with(name: &str, bytes: &[u8], mode: u32) -> (Self, PathBuf) {
        let folder = Self(TempDir::new().unwrap());
        let path = folder.path(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Its sentence, in which the folder is called FOLDER.
    fn told<T>(&self, result: Result<T, ConfigError>) -> String {
        match result {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.to_string().replace(&self.0.path().display().to_string(), "FOLDER"),
        }
    }
}

fn named(path: &Path) -> Result<Config, ConfigError> {
    Config::load(Some(path), Overrides::default())
}

fn loading(bytes: &[u8], mode: u32) -> String {
    let (folder, path) = Folder::with("server.toml", bytes, mode);
    folder.told(named(&path))
}

#[test]
fn a_file_that_others_cannot_write_is_read() {
    let documented = include_bytes!("../../config/server.toml");
    for mode in [0o600, 0o640, 0o644, 0o444] {
        assert_eq!(loading(documented, mode), "accepted", "{mode:o}");
    }
    assert_eq!(loading(b"# defaults\n", 0o600), "accepted");
    assert_eq!(loading(b"\n", 0o600), "accepted");
}

#[test]
fn a_file_without_a_byte_is_refused() {
    insta::assert_snapshot!(loading(b"", 0o600), @r##"the configuration FOLDER/server.toml is empty (0 bytes), as a full disk leaves a file: bring it back from a copy, or write a line such as "# defaults" into it if all defaults are meant"##);
    // Also where it need not exist.
    let (folder, path) = Folder::with("server.toml", b"", 0o600);
    let told = folder.told(Config::read(Source::IfPresent(&path), Overrides::default()));
    assert!(told.contains("is empty (0 bytes)"), "{told}");
}

#[test]
fn a_named_file_must_exist_and_the_usual_one_need_not() {
    let (folder, path) = Folder::with("server.toml", b"store_connections = 3\n", 0o600);
    let missing = folder.path("missing.toml");
    insta::assert_snapshot!(folder.told(named(&missing)), @"cannot read the configuration FOLDER/missing.toml: No such file or directory (os error 2). Mend that, or create it, for example from server.toml in the documentation's examples");
    let config = Config::read(Source::IfPresent(&missing), Overrides::default()).unwrap();
    assert_eq!((config.path, config.store_connections.get()), (None, 8));
    let config = Config::read(Source::IfPresent(&path), Overrides::default()).unwrap();
    assert_eq!((config.path.as_ref(), config.store_connections.get()), (Some(&path), 3));
    // A link to a file that is gone is no answer of "there is none".
    let link = folder.path("link.toml");
    symlink(&missing, &link).unwrap();
    insta::assert_snapshot!(folder.told(Config::read(Source::IfPresent(&link), Overrides::default())), @"cannot read the configuration FOLDER/link.toml: No such file or directory (os error 2). Mend that, or create it, for example from server.toml in the documentation's examples");
    let below_a_file = path.join("server.toml");
    insta::assert_snapshot!(folder.told(Config::read(Source::IfPresent(&below_a_file), Overrides::default())), @"cannot read the configuration FOLDER/server.toml/server.toml: Not a directory (os error 20). Mend that, or create it, for example from server.toml in the documentation's examples");
}

#[test]
fn a_file_that_others_could_write_is_refused() {
    insta::assert_snapshot!(loading(b"\n", 0o664), @"the configuration FOLDER/server.toml has mode 0664, so others could change who gets in. Mend it with: chown root FOLDER/server.toml; chmod go-w FOLDER/server.toml");
    insta::assert_snapshot!(loading(b"\n", 0o646), @"the configuration FOLDER/server.toml has mode 0646, so others could change who gets in. Mend it with: chown root FOLDER/server.toml; chmod go-w FOLDER/server.toml");
}

#[test]
fn a_file_of_somebody_else_is_refused() {
    if !geteuid().is_root() {
        return;
    }
    let (folder, path) = Folder::with("server.toml", b"\n", 0o600);
    chown(&path, Some(4321), None).unwrap();
    insta::assert_snapshot!(folder.told(named(&path)), @"the configuration FOLDER/server.toml belongs to uid 4321, so others could change who gets in. Mend it with: chown root FOLDER/server.toml; chmod go-w FOLDER/server.toml");
    // The file counts, not the link to it.
    let link = folder.path("link.toml");
    symlink(&path, &link).unwrap();
    assert!(folder.told(named(&link)).contains("belongs to uid 4321"));
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let (folder, _) = Folder::with("server.toml", b"\n", 0o600);
    let pipe = folder.path("pipe");
    mkfifo(&pipe, Mode::from_bits_truncate(0o600)).unwrap();
    let began = Instant::now();
    insta::assert_snapshot!(folder.told(named(&pipe)), @"the configuration FOLDER/pipe cannot be understood: it is not a regular file");
    assert!(began.elapsed() < Duration::from_secs(60), "it waited for a writer");
    insta::assert_snapshot!(folder.told(named(folder.0.path())), @"the configuration FOLDER cannot be understood: it is not a regular file");
}

#[test]
fn a_file_is_read_whole_or_not_at_all() {
    // The key stands behind what would be read at the most.
    let long = format!("#{}\nstore_connections = 1\n", " ".repeat(1024 * 1024));
    insta::assert_snapshot!(loading(long.as_bytes(), 0o600), @"the configuration FOLDER/server.toml cannot be understood: it is longer than 1048576 bytes");
    assert_eq!(loading(format!("#{}", " ".repeat(1024 * 1024 - 1)).as_bytes(), 0o600), "accepted");
    insta::assert_snapshot!(loading(b"# caf\xe9\n", 0o600), @"the configuration FOLDER/server.toml cannot be understood: it is not text in UTF-8");
}

/// What comes of reading a mail password from a file like this.
fn password(bytes: &[u8], mode: u32) -> Result<String, String> {
    let (folder, path) = Folder::with("password", bytes, mode);
    let read = mail(&path).smtp.unwrap().read_password();
    match read {
        Ok(password) => Ok(password.unwrap().expose().to_owned()),
        error => Err(folder.told(error)),
    }
}

fn mail(password_file: &Path) -> Config {
    let text = format!(
        "[smtp]\nhost = \"mail.example.org\"\nfrom = \"a@example.org\"\nusername = \"a\"\npassword_file = {password_file:?}\n\
         [sms]\nurl = \"https://sms.example.org/?to={{phone}}&text={{text}}&key={{secret}}\"\nsecret_file = {password_file:?}\n"
    );
    Config::parse(Path::new("/etc/oss2fa/server.toml"), &text, Overrides::default()).unwrap()
}

#[test]
fn a_password_is_one_line_of_a_file_closed_to_others() {
    for mode in [0o600, 0o400, 0o640] {
        assert_eq!(password(b"hunter2\n", mode).as_deref(), Ok("hunter2"), "{mode:o}");
    }
    assert_eq!(password(b"hunter2", 0o600).as_deref(), Ok("hunter2"));
    assert_eq!(password(b" hunter 2 \r\n", 0o600).as_deref(), Ok(" hunter 2 "));
    assert_eq!(password("schlüssel\n".as_bytes(), 0o600).as_deref(), Ok("schlüssel"));
    insta::assert_snapshot!(password(b"hunter2\n", 0o644).unwrap_err(), @"the file FOLDER/password, named by [smtp] password_file, has mode 0644: everybody on this machine can get at the password. Mend it with: chmod o-rwx FOLDER/password; then change the password");
    insta::assert_snapshot!(password(b"hunter2\n", 0o602).unwrap_err(), @"the file FOLDER/password, named by [smtp] password_file, has mode 0602: everybody on this machine can get at the password. Mend it with: chmod o-rwx FOLDER/password; then change the password");
    insta::assert_snapshot!(password(b"", 0o600).unwrap_err(), @"the file FOLDER/password, named by [smtp] password_file, is empty: write the password into it");
    insta::assert_snapshot!(password(b"\n", 0o600).unwrap_err(), @"the file FOLDER/password, named by [smtp] password_file, is empty: write the password into it");
    insta::assert_snapshot!(password(b"hunter2\n\n", 0o600).unwrap_err(), @"the file FOLDER/password, named by [smtp] password_file, must hold the password in one line, without control characters");
    insta::assert_snapshot!(password(b"hunter2\xff\n", 0o600).unwrap_err(), @"the file FOLDER/password, named by [smtp] password_file, is not text in UTF-8");
    insta::assert_snapshot!(password(&[b'h'; 16 * 1024 + 1], 0o600).unwrap_err(), @"the file FOLDER/password, named by [smtp] password_file, is longer than 16384 bytes");
    assert_eq!(password(&[b'h'; 16 * 1024], 0o600).map(|text| text.len()), Ok(16 * 1024));
}

#[test]
fn a_password_is_read_anew_each_time() {
    let (folder, path) = Folder::with("password", b"old\n", 0o600);
    let config = mail(&path);
    let (smtp, sms) = (config.smtp.unwrap(), config.sms.unwrap());
    assert_eq!(smtp.read_password().unwrap().unwrap().expose(), "old");
    fs::write(&path, "new\n").unwrap();
    assert_eq!(smtp.read_password().unwrap().unwrap().expose(), "new");
    assert_eq!(sms.read_secret().unwrap().unwrap().expose(), "new");
    fs::remove_file(&path).unwrap();
    insta::assert_snapshot!(folder.told(sms.read_secret()), @"the file FOLDER/password, named by [sms] secret_file, cannot be read: No such file or directory (os error 2)");
    mkfifo(&path, Mode::from_bits_truncate(0o600)).unwrap();
    insta::assert_snapshot!(folder.told(smtp.read_password()), @"the file FOLDER/password, named by [smtp] password_file, is not a regular file");
}
