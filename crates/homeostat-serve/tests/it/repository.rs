//! Models in a repository: versions, exchange without a lost request, canaries and shadows.

use std::{fs, sync::Arc, time::Duration};

use homeostat_protocol::{InferRequest, RepositoryQuery, Tensor, VersionPolicy};
use homeostat_serve::{Engine, ServeError, Source, Traffic};

use crate::place::{opening, pictures, publish, values};

fn request() -> InferRequest {
    let tensor = Tensor::from_f32("image", [1, 3, 2, 3], &values(1)).unwrap();
    InferRequest { inputs: vec![tensor], ..InferRequest::default() }
}

async fn version(engine: &Engine) -> String {
    engine.infer("pictures", None, request()).await.unwrap().model_version
}

fn versions(engine: &Engine) -> Vec<String> {
    engine.model("pictures", None).unwrap().versions
}

#[tokio::test]
async fn the_policy_says_which_versions_are_served() {
    let folder = tempfile::tempdir().unwrap();
    for version in ["1", "2", "10"] {
        publish(&folder.path().join("pictures").join(version), &pictures(version.len() as u64));
    }
    // None of these is a version, or a model.
    fs::create_dir_all(folder.path().join("pictures/latest")).unwrap();
    fs::create_dir_all(folder.path().join("pictures/0")).unwrap();
    fs::create_dir_all(folder.path().join("-no name")).unwrap();
    for (policy, wanted) in [
        (VersionPolicy::Latest { num_versions: 1 }, &["10"][..]),
        (VersionPolicy::Latest { num_versions: 2 }, &["2", "10"]),
        (VersionPolicy::All {}, &["1", "2", "10"]),
        (VersionPolicy::Specific { versions: vec![1, 2, 99] }, &["1", "2"]),
    ] {
        let engine = Engine::new(Source::repository(folder.path(), policy).unwrap(), opening());
        assert!(!engine.is_ready());
        engine.refresh().await.unwrap();
        assert!(engine.is_ready());
        assert_eq!(versions(&engine), wanted);
        assert_eq!(&version(&engine).await, wanted.last().unwrap());
        assert!(engine.infer("pictures", Some(wanted[0]), request()).await.is_ok());
    }
}

#[tokio::test]
async fn a_new_version_takes_over_and_a_broken_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let place = |version: &str| folder.path().join("pictures").join(version);
    publish(&place("1"), &pictures(1));
    let policy = VersionPolicy::Latest { num_versions: 1 };
    let engine = Engine::new(Source::repository(folder.path(), policy).unwrap(), opening());
    engine.refresh().await.unwrap();
    assert_eq!(version(&engine).await, "1");
    // Weights that do not answer as golden says.
    let mut broken = pictures(2);
    broken.model = pictures(3).model;
    publish(&place("2"), &broken);
    let error = engine.refresh().await.unwrap_err();
    assert!(matches!(error, ServeError::Load { .. }) && error.to_string().contains("golden"), "{error}");
    assert_eq!(version(&engine).await, "1");
    assert!(engine.is_ready(), "the old one answers");
    let index = engine.index(RepositoryQuery::default());
    assert_eq!(index.len(), 2);
    assert!(index[1].reason.contains("golden"));
    // Mended.
    fs::remove_dir_all(place("2")).unwrap();
    publish(&place("2"), &pictures(2));
    engine.refresh().await.unwrap();
    assert_eq!((version(&engine).await, versions(&engine)), ("2".into(), vec!["2".to_owned()]));
    // Overwritten in its place.
    let before = engine.infer("pictures", None, request()).await.unwrap();
    publish(&place("2"), &pictures(5));
    engine.refresh().await.unwrap();
    assert_ne!(engine.infer("pictures", None, request()).await.unwrap(), before);
    // Another model comes, the first one goes.
    publish(&folder.path().join("others/1"), &pictures(4));
    fs::remove_dir_all(folder.path().join("pictures")).unwrap();
    engine.refresh().await.unwrap();
    assert!(matches!(engine.model("pictures", None), Err(ServeError::UnknownModel { .. })));
    assert!(engine.model("others", None).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_while_versions_are_exchanged() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("pictures/1");
    publish(&place, &pictures(1));
    let source = Source::repository(folder.path(), VersionPolicy::All {}).unwrap();
    let engine = Engine::new(source, opening());
    engine.refresh().await.unwrap();
    let asking = |engine: Arc<Engine>| async move {
        let mut answers = 0;
        while !engine.is_draining() {
            engine.infer("pictures", None, request()).await.unwrap();
            answers += 1;
        }
        answers
    };
    let clients: Vec<_> = (0..4).map(|_| tokio::spawn(asking(Arc::clone(&engine)))).collect();
    for seed in 2..12 {
        publish(&place, &pictures(seed));
        engine.load("pictures").await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    engine.begin_drain();
    for client in clients {
        assert!(client.await.unwrap() > 10);
    }
    assert!(engine.metrics_text().contains("homeostat_reloads_total{model=\"pictures\",result=\"success\"} 11"));
}

#[tokio::test]
async fn a_canary_gets_its_share_and_a_shadow_all() {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (1..=3).map(|version| folder.path().join(format!("v{version}"))).collect();
    for (seed, path) in (1..).zip(&paths) {
        // The third is like the first.
        publish(path, &pictures(if seed == 3 { 1 } else { seed }));
    }
    let named = paths.iter().map(|path| ("pictures".to_owned(), path.clone()));
    let traffic = Traffic { canary: Some((2, 10)), shadow: Some(3) };
    let source = Source::named(named).unwrap();
    assert!(source.clone().with_traffic("none", traffic).is_err());
    for traffic in [Traffic { canary: Some((4, 10)), shadow: None }, Traffic { canary: None, shadow: Some(4) }] {
        let error = source.clone().with_traffic("pictures", traffic).unwrap_err().to_string();
        assert!(error.contains("`pictures` has no version 4"), "{error}");
    }
    let engine = Engine::new(source.with_traffic("pictures", traffic).unwrap(), opening());
    engine.refresh().await.unwrap();
    let mut counts = [0; 4];
    for _ in 0..200 {
        counts[version(&engine).await.parse::<usize>().unwrap()] += 1;
    }
    assert_eq!(counts, [0, 180, 20, 0]);
    let count = |text: &str, result: &str| {
        let line = format!("homeostat_shadow_requests_total{{model=\"pictures\",result=\"{result}\",version=\"3\"}} ");
        text.lines().find_map(|found| found.strip_prefix(&line)?.parse::<u32>().ok()).unwrap_or(0)
    };
    let mut text = engine.metrics_text();
    for _ in 0..500 {
        if count(&text, "agrees") + count(&text, "differs") == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        text = engine.metrics_text();
    }
    assert_eq!((count(&text, "agrees"), count(&text, "differs"), count(&text, "failed")), (180, 20, 0));
}

#[test]
fn names_that_could_lead_astray_are_refused() {
    for name in ["", ".", "..", "a/b", "a b", "-a", "ä", "a\n", &"x".repeat(129)] {
        assert!(Source::named([(name.to_owned(), "x".into())]).is_err(), "{name}");
    }
    assert!(Source::named([("a.B-9_".to_owned(), "x".into())]).is_ok());
    assert!(Source::repository("/no such folder".as_ref(), VersionPolicy::default()).is_err());
}
