//! PAM service files that the tests use.

/// The second factor alone, in auth and account.
pub const SECOND_FACTOR: &str = "\
auth required pam_oss2fa.so
account required pam_permit.so
password required pam_deny.so
session required pam_permit.so
";

/// As sites write it: the password first, then the code.
pub const PASSWORD_THEN_CODE: &str = "\
auth requisite pam_unix.so nodelay
auth required pam_oss2fa.so
account required pam_unix.so
password required pam_deny.so
session required pam_permit.so
";

/// The second factor alone, and an account phase that insists on it.
pub const ENFORCED: &str = "\
auth required pam_oss2fa.so
account required pam_oss2fa.so enforce
password required pam_deny.so
session required pam_permit.so
";

/// A stack that shows the very code of the module: `PAM_IGNORE`, which no caller of libpam ever
/// sees, comes out as [`crate::Pam::Ignore`].
#[must_use]
pub fn revealing(arguments: &str) -> String {
    revealing_each(arguments, arguments)
}

/// [`revealing`], with other arguments in auth than in account.
#[must_use]
pub fn revealing_each(auth: &str, account: &str) -> String {
    // pam_debug answers what it is told to; no answer of the module is an expired credential.
    format!(
        "auth [success=done ignore=ignore default=die] pam_oss2fa.so {auth}\n\
         auth required pam_debug.so auth=cred_expired\n\
         account [success=done ignore=ignore default=die] pam_oss2fa.so {account}\n\
         account required pam_debug.so acct=cred_expired\n\
         session required pam_permit.so\n"
    )
}
