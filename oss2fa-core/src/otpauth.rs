//! Provisioning URIs (`otpauth://`), as authenticator applications read them from a QR code.
