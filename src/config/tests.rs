//! Precedence, and one clear line for everything that can be wrong.

use super::*;

struct Given {
    file: &'static str,
    variables: &'static [(&'static str, &'static str)],
    flags: Flags,
}

const NOTHING: Given = Given {
    file: "",
    variables: &[],
    flags: Flags { config: None, data_dir: None, listen: None, log_format: None },
};

fn load(given: Given) -> Result<Config, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tallybook.toml");
    std::fs::write(&path, given.file).unwrap();
    let pairs = given.variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    let flags = Flags { config: Some(path.clone()), ..given.flags };
    Config::from_sources(&flags, &Variables::from_pairs(pairs))
        .map_err(|error| error.to_string().replace(&path.display().to_string(), "FILE"))
}

#[test]
fn nothing_given_is_the_default_with_intake_off() {
    let config = load(NOTHING).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.intake.url, None);
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert!(!config.auth.jwt.trust_upstream_jwt);
}

#[test]
fn flags_win_over_variables_over_the_file() {
    let file = "listen = '[::1]:1'\ndata_dir = 'f'\n[intake]\nprefetch = 7\nexchange = 'file'\n";
    let variables: &[_] = &[
        ("TALLYBOOK__DATA_DIR", "v"),
        ("TALLYBOOK__INTAKE__PREFETCH", "8"),
        ("RABBITMQ_EXCHANGE", "seed"),
        ("SERVER_PORT", "2"),
    ];
    let config = load(Given { file, ..NOTHING }).unwrap();
    assert_eq!((config.listen.host.as_str(), config.listen.port), ("::1", 1));
    assert_eq!(config.intake.prefetch, 7);

    let config = load(Given { file, variables, ..NOTHING }).unwrap();
    assert_eq!(config.listen.to_string(), "[::1]:2");
    assert_eq!(config.data_dir, PathBuf::from("v"));
    assert_eq!((config.intake.prefetch, config.intake.exchange.as_str()), (8, "seed"));

    let flags = Flags {
        data_dir: Some("c".into()),
        listen: Some("localhost:3".parse().unwrap()),
        ..Flags::default()
    };
    let config = load(Given { file, variables, flags }).unwrap();
    assert_eq!(config.listen.to_string(), "localhost:3");
    assert_eq!(config.data_dir, PathBuf::from("c"));
}

#[test]
fn the_names_that_deployments_already_use_are_understood() {
    let variables: &[_] = &[
        ("X_API_KEY", "k"),
        ("JWT_HS256_SECRET", "s"),
        ("JWT_JWKS_URL", "https://id.example/jwks"),
        ("RABBITMQ_URL", "amqp://u:p@broker/%2f"),
        ("VOUCHER_SIGNING_KEY", "your-secret-signing-key-at-least-32-bytes-long"),
        ("AIGATEWAY_BASE_URL", "http://gateway:1002"),
        ("AIGATEWAY_CREDENTIAL", "credential3"),
        ("AIGATEWAY_AUTH_VALUE", "12345678"),
        ("PORT", "1"),
        ("SERVER_PORT", "2"),
        ("SERVER_HOST", "0.0.0.0"),
        ("RABBITMQ_EXCHANGE", ""),
        ("PATH", "/bin"),
    ];
    let config = load(Given { variables, ..NOTHING }).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:2");
    assert_eq!(config.intake.exchange, "llm-events", "empty counts as absent");
    assert_eq!(config.intake.url, Some("amqp://u:p@broker/%2f".into()));
    assert_eq!(config.auth.jwt.jwks_url.as_deref(), Some("https://id.example/jwks"));
    let [key] = config.auth.api_keys.as_slice() else { panic!("one key") };
    assert_eq!((key.role, key.key.as_ref()), (Role::Developer, Some(&"k".into())));
    let gateway = Gateway {
        base_url: Some("http://gateway:1002".to_owned()),
        credential: Some("credential3".into()),
        auth_value: Some("12345678".into()),
        ..Gateway::default()
    };
    assert_eq!(config.gateway, gateway);

    let variables: &[_] = &[("RABBITMQ_EXCHANGE", "seed"), ("TALLYBOOK__INTAKE__EXCHANGE", "own")];
    assert_eq!(load(Given { variables, ..NOTHING }).unwrap().intake.exchange, "own");
}

#[test]
fn every_key_can_be_set_by_a_variable() {
    let variables: &[_] = &[
        ("TALLYBOOK__LISTEN", "h:1"),
        (
            "TALLYBOOK__AUTH__API_KEYS",
            "[{key = 'k', role = 'tenant_user', user = 'u', name = 'n'}]",
        ),
        ("TALLYBOOK__AUTH__JWT__TRUST_UPSTREAM_JWT", "true"),
        ("TALLYBOOK__AUTH__JWT__HEADER", "x-token"),
        ("TALLYBOOK__LIMITS__BODY_BYTES_MAX", "10"),
        ("TALLYBOOK__CHECKPOINT__EVERY_EVENTS", "11"),
        // The string of digits stays a string.
        ("TALLYBOOK__AUTH__JWT__HS256_SECRET", "0123456789"),
    ];
    let config = load(Given { variables, ..NOTHING }).unwrap();
    assert_eq!(config.listen.to_string(), "h:1");
    assert_eq!(config.auth.api_keys.len(), 1);
    assert!(config.auth.jwt.trust_upstream_jwt);
    assert_eq!(config.auth.jwt.header, "x-token");
    assert_eq!(config.auth.jwt.hs256_secret, Some("0123456789".into()));
    assert_eq!((config.limits.body_bytes_max, config.checkpoint.every_events), (10, 11));
}

#[test]
fn anything_wrong_is_one_line_with_the_key_and_the_reason() {
    let file = |file: &'static str, line: &str| (Given { file, ..NOTHING }, line.to_owned());
    let variable =
        |variables: &'static [_], line: &str| (Given { variables, ..NOTHING }, line.to_owned());
    for (given, line) in [
        file("lisen = 'x:1'", "`lisen` (FILE): there is no such key"),
        file("[intake]\nfoo = 1", "`intake.foo` (FILE): there is no such key"),
        file(
            "[[auth.api_keys]]\nkey = 'k'\nrole = 'developer'\nname = 'n'\nfoo = 1",
            "`auth.api_keys[0].foo` (FILE): there is no such key",
        ),
        file("[intake]\nprefetch = 'many'", "`intake.prefetch` (FILE): must be an integer"),
        file(
            "[intake]\nprefetch = 70000",
            "`intake.prefetch` (FILE): must be an unsigned 16 bit integer",
        ),
        file("[intake]\nprefetch = 0", "`intake.prefetch` (FILE): must be at least 1"),
        file("listen = '8080'", "`listen` (FILE): must be `host:port`, got `8080`"),
        file(
            "[[auth.api_keys]]\nkey = 'k'\nrole = 'root'\nname = 'n'",
            "`auth.api_keys[0].role` (FILE): must be `developer`, `tenant_admin` or `tenant_user`, got `root`",
        ),
        file(
            "[[auth.api_keys]]\nrole = 'developer'\nname = 'n'",
            "`auth.api_keys[0].key` (FILE): `key` or `key_sha256` is needed",
        ),
        file(
            "[[auth.api_keys]]\nkey_sha256 = 'ab'\nrole = 'developer'\nname = 'n'",
            "`auth.api_keys[0].key_sha256` (FILE): must be 64 hexadecimal digits",
        ),
        file(
            "[[auth.api_keys]]\nkey = 'k'\nrole = 'tenant_admin'\nname = 'n'",
            "`auth.api_keys[0].organization` (FILE): a `tenant_admin` needs one",
        ),
        file(
            "[auth.jwt]\nhs256_secret = s3cret",
            "`FILE`: TOML parse error at line 2, column 16: string values must be quoted, expected literal string",
        ),
        file(
            "[log]\nfilter = 'loud=very'",
            "`log.filter` (FILE): must be levels, like `info` or `warn,tallybook=debug`",
        ),
        variable(
            &[("TALLYBOOK__INTAKE__FOO", "1")],
            "`intake.foo` (TALLYBOOK__INTAKE__FOO): there is no such key",
        ),
        variable(
            &[("TALLYBOOK__INTAKE__PREFETCH", "x")],
            "`intake.prefetch` (TALLYBOOK__INTAKE__PREFETCH): must be an integer",
        ),
        variable(&[("PORT", "http")], "`PORT`: must be a port from 0 to 65535, got `http`"),
        variable(
            &[("RABBITMQ_URL", "http://u:p@h")],
            "`intake.url` (RABBITMQ_URL): must start with `amqp://` or `amqps://`",
        ),
        variable(
            &[("VOUCHER_SIGNING_KEY", "short")],
            "`vouchers.signing_key` (VOUCHER_SIGNING_KEY): must be at least 32 bytes long",
        ),
        variable(
            &[("AIGATEWAY_BASE_URL", "gateway:1002")],
            "`gateway.base_url` (AIGATEWAY_BASE_URL): must be an `http://` or `https://` address",
        ),
        variable(
            &[("AIGATEWAY_BASE_URL", "http://u:s3cret@gateway")],
            "`gateway.base_url` (AIGATEWAY_BASE_URL): must not hold a password; there is `gateway.auth_value`",
        ),
        variable(
            &[("AIGATEWAY_CREDENTIAL", "s3cret\n")],
            "`gateway.credential` (AIGATEWAY_CREDENTIAL): must fit into a header: no control characters",
        ),
        file(
            "[gateway]\nadmin_path = 'v1'",
            "`gateway.admin_path` (FILE): must be a path that starts with `/`",
        ),
        file(
            "[gateway]\nauth_header = 'x admin'",
            "`gateway.auth_header` (FILE): must be the name of a header",
        ),
        file(
            "[gateway]\nauth_header = 'Authorization'\nauth_value = 'a'\ncredential = 'b'",
            "`gateway.auth_header` (FILE): must not be `authorization` beside `gateway.credential`",
        ),
        file("[gateway]\ntimeout_ms = 0", "`gateway.timeout_ms` (FILE): must be at least 1"),
        variable(
            &[("JWT_JWKS_URL", "id.example")],
            "`auth.jwt.jwks_url` (JWT_JWKS_URL): must be an `http://` or `https://` address",
        ),
        variable(
            &[("TALLYBOOK__AUTH__API_KEYS", "s3cret")],
            "`auth.api_keys` (TALLYBOOK__AUTH__API_KEYS): must be a list of tables in TOML, like `[{key = \"…\", role = \"…\", name = \"…\"}]`",
        ),
    ] {
        assert_eq!(load(given), Err(format!("configuration: {line}")));
    }
}

#[test]
fn what_is_wrong_with_payments_is_one_line_as_well() {
    let file = |file: &'static str, line: &str| (Given { file, ..NOTHING }, line.to_owned());
    let variable =
        |variables: &'static [_], line: &str| (Given { variables, ..NOTHING }, line.to_owned());
    for (given, line) in [
        variable(
            &[("STRIPE_SECRET_KEY", "sk s3cret")],
            "`stripe.secret_key` (STRIPE_SECRET_KEY): must be visible characters without spaces",
        ),
        variable(
            &[("TALLYBOOK__STRIPE__WEBHOOK_SECRET", "")],
            "`stripe.webhook_secret` (TALLYBOOK__STRIPE__WEBHOOK_SECRET): must not be empty",
        ),
        file(
            "[stripe]\nbase_url = 'api.stripe.com'",
            "`stripe.base_url` (FILE): must be an `http://` or `https://` address",
        ),
        file(
            "[stripe]\nbase_url = 'https://u:s3cret@api.stripe.com'",
            "`stripe.base_url` (FILE): must not hold a password",
        ),
        file("[stripe]\ntimeout_ms = 0", "`stripe.timeout_ms` (FILE): must be at least 1"),
        file(
            "[billing]\npublic_url = 'https://tally.example/?x=1'",
            "`billing.public_url` (FILE): must end with its path",
        ),
    ] {
        assert_eq!(load(given), Err(format!("configuration: {line}")));
    }
}

#[test]
fn a_value_of_the_wrong_kind_is_not_shown() {
    let file = |file: &'static str, line: &str| (Given { file, ..NOTHING }, line.to_owned());
    let variable =
        |variables: &'static [_], line: &str| (Given { variables, ..NOTHING }, line.to_owned());
    for (given, line) in [
        variable(
            &[("TALLYBOOK__VOUCHERS__SIGNING_KEYS", "s3cret, expected a secret")],
            "`vouchers.signing_keys` (TALLYBOOK__VOUCHERS__SIGNING_KEYS): must be a list of texts in TOML, like `[\"…\", \"…\"]`",
        ),
        variable(
            &[("TALLYBOOK__VOUCHERS", "s3cret")],
            "`vouchers` (TALLYBOOK__VOUCHERS): must be a table",
        ),
        file(
            "[vouchers]\nsigning_keys = 's3cret, expected s3cret'",
            "`vouchers.signing_keys` (FILE): must be a sequence",
        ),
    ] {
        assert_eq!(load(given), Err(format!("configuration: {line}")));
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let flags = Flags { config: Some("/nowhere/tallybook.toml".into()), ..Flags::default() };
    let error = Config::from_sources(&flags, &Variables::default()).unwrap_err().to_string();
    assert_eq!(
        error,
        "configuration: `/nowhere/tallybook.toml`: No such file or directory (os error 2)"
    );
}

#[test]
fn secrets_are_not_printed() {
    let config = load(Given {
        file: "[[auth.api_keys]]\nkey = 'hush-1'\nrole = 'developer'\nname = 'n'",
        variables: &[
            ("X_API_KEY", "hush-2"),
            ("JWT_HS256_SECRET", "hush-3"),
            ("RABBITMQ_URL", "amqp://u:hush-4@h"),
            ("VOUCHER_SIGNING_KEY", "hush-5-hush-5-hush-5-hush-5-hush-5"),
            ("AIGATEWAY_AUTH_VALUE", "hush-6"),
            ("AIGATEWAY_CREDENTIAL", "hush-7"),
            ("STRIPE_SECRET_KEY", "hush-8"),
            ("STRIPE_WEBHOOK_SECRET", "hush-9"),
        ],
        ..NOTHING
    })
    .unwrap();
    let printed = format!("{config:?}");
    assert!(!printed.contains("hush"), "{printed}");
    assert!(printed.contains("[redacted]"));
}
