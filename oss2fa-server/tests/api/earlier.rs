//! What earlier builds wrote is read: nobody is locked out by an upgrade.

use data_encoding::{BASE32_NOPAD, BASE64};
use oss2fa_server::ids::TenantId;
use oss2fa_server::store::error::StoreError;
use oss2fa_server::store::sql::Sql;
use oss2fa_server::store::verb::{Tx, Verb};
use oss2fa_server::store::verbs::clients::MATERIAL;
use oss2fa_server::store::verbs::enrollments::STEP;
use oss2fa_server::values;
use serde_json::{Value, json};

use crate::fixture::{Fixture, world};
use crate::world::hotp;

/// Seals something anew, as it was written before: a place, how it is read and written, and its new form.
struct Before {
    tenant: i64,
    pk: i64,
    place: &'static str,
    read: &'static str,
    write: &'static str,
    form: fn(&[u8]) -> Vec<u8>,
}

impl Verb for Before {
    type Output = ();

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<(), StoreError> {
        let keys = tx.keys(TenantId(self.tenant)).await?;
        let row = tx.sql.row(self.read, values![self.pk]).await?.unwrap();
        let now = keys.open(self.place, self.pk, row.bytes(0)?).unwrap();
        let sealed = keys.seal(self.place, self.pk, &(self.form)(now.expose()), tx.ring.random())?;
        assert_eq!(tx.sql.execute(self.write, values![self.pk, &sealed]).await?, 1);
        Ok(())
    }
}

/// The JSON in which a secret of six digits stood: the secret is what stands behind the head of 13 bytes now.
fn material(now: &[u8]) -> Vec<u8> {
    assert_eq!(now[0], 1, "it is not written as before any more");
    let secret = BASE32_NOPAD.encode(&now[13..]);
    let parameters = r#"{"algorithm":"sha1","digits":6,"period":30}"#;
    format!(r#"{{"secret":"{secret}","parameters":{parameters},"counter":0}}"#).into_bytes()
}

fn step(now: &[u8]) -> Vec<u8> {
    let mut step: Value = serde_json::from_slice(now).unwrap();
    let state = BASE64.decode(step["state"].as_str().unwrap().as_bytes()).unwrap();
    step["state"] = json!(BASE64.encode(&material(&state)));
    step.to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_the_form_of_before_lets_its_owner_in_and_finishes_its_enrollment() {
    let (world, Fixture { a, .. }) = world().await;
    let device = Before {
        tenant: a.tenant,
        pk: a.device,
        place: MATERIAL,
        read: "SELECT sealed FROM device WHERE pk = ?1",
        write: "UPDATE device SET sealed = ?2 WHERE pk = ?1",
        form: material,
    };
    world.store.write(device).await.unwrap();
    let enrollment = Before {
        tenant: a.tenant,
        pk: a.enrollment,
        place: STEP,
        read: "SELECT sealed FROM enrollment WHERE pk = ?1",
        write: "UPDATE enrollment SET sealed = ?2 WHERE pk = ?1",
        form: step,
    };
    world.store.write(enrollment).await.unwrap();
    let ask = async |path: &str, body: Value| world.ask(&a.token, "POST", path, &body).await.status.as_u16();
    let challenge = format!("/integrations/challenges/{}/complete", a.challenge);
    assert_eq!(ask(&challenge, json!({ "token": a.answer })).await, 200);
    let login = json!({ "username": a.username, "token": hotp(&a.secret, 2) });
    assert_eq!(ask("/integrations/clients/verify", login.clone()).await, 200);
    assert_ne!(ask("/integrations/clients/verify", login).await, 200, "it was used");
    let enrollment = format!("/integrations/enrollments/{}/complete", a.enrollment);
    assert_eq!(ask(&enrollment, json!({ "token": a.proof })).await, 201);
}
