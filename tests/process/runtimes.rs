//! Every runtime: none (in all other files), and tokio's multi-thread and current-thread runtimes, from inside and
//! outside.

use std::time::Duration;

use crate::runner::{Group, named};
use crate::support::{Child, SLACK, assert_arrived, print_counters, receiver};

pub(crate) const GROUP: Group = Group {
    name: "runtimes",
    tests: named![
        a_test_thread_with_is_test_delivers_and_prints,
        flush_inside_a_current_thread_runtime,
        flush_inside_a_multi_thread_runtime,
        init_inside_an_async_main_delivers_without_a_flush,
        process_exit_inside_a_task_delivers,
        shutdown_inside_a_runtime,
    ],
    scenarios: named![async_main, exit_in_task, flush_in_current, flush_in_multi, shutdown_in_runtime, test_thread],
};

const LONG: Duration = Duration::from_secs(30);

fn multi() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn current() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn work() {
    let task = tokio::spawn(async {
        tokio::task::yield_now().await;
        tracing::info!("from a task");
    });
    log::info!("from the runtime");
    task.await.expect("a task");
}

fn flush_in_multi(_: &[String]) {
    logbridge::init();
    multi().block_on(async {
        work().await;
        logbridge::bridge().expect("installed").flush(LONG).expect("delivered");
        // On a worker as well, with the runtime's only other worker free or not.
        tokio::spawn(async { logbridge::bridge().expect("installed").flush(LONG) })
            .await
            .expect("no panic")
            .expect("ok");
        print_counters();
    });
}

fn flush_inside_a_multi_thread_runtime() {
    let receiver = receiver();
    let child = Child::new("flush_in_multi").to(&receiver).run().success().quiet().within(SLACK);
    child.numbers().expect(&[("otlp.delivered", 2), ("otlp.pending", 0)]);
    assert_arrived(&receiver, &["from a task", "from the runtime"], &child);
}

fn flush_in_current(_: &[String]) {
    current().block_on(async {
        let bridge = logbridge::try_init().expect("free slots");
        work().await;
        bridge.flush(LONG).expect("delivered");
        print_counters();
    });
}

fn flush_inside_a_current_thread_runtime() {
    let receiver = receiver();
    let child = Child::new("flush_in_current").to(&receiver).run().success().quiet().within(SLACK);
    child.numbers().expect(&[("otlp.delivered", 2), ("otlp.pending", 0)]);
    assert_arrived(&receiver, &["from a task", "from the runtime"], &child);
}

fn shutdown_in_runtime(_: &[String]) {
    logbridge::init();
    current().block_on(async {
        work().await;
        logbridge::bridge().expect("installed").shutdown(LONG).expect("delivered");
        print_counters();
    });
}

fn shutdown_inside_a_runtime() {
    let receiver = receiver();
    let child = Child::new("shutdown_in_runtime").to(&receiver).run().success().quiet().within(SLACK);
    child.numbers().expect(&[("otlp.delivered", 2), ("otlp.lost", 0)]);
    assert_arrived(&receiver, &["from a task", "from the runtime"], &child);
}

/// What `#[tokio::main]` makes of an `async fn main`.
fn async_main(arguments: &[String]) {
    let runtime = if arguments == ["multi"] { multi() } else { current() };
    runtime.block_on(async {
        logbridge::init();
        work().await;
    });
}

fn init_inside_an_async_main_delivers_without_a_flush() {
    for flavour in ["multi", "current"] {
        let receiver = receiver();
        let child = Child::new("async_main").arg(flavour).to(&receiver).run().success().quiet().within(SLACK);
        assert_arrived(&receiver, &["from a task", "from the runtime"], &child);
    }
}

fn exit_in_task(arguments: &[String]) {
    let runtime = if arguments == ["multi"] { multi() } else { current() };
    runtime.block_on(async {
        logbridge::init();
        work().await;
        tokio::spawn(async { std::process::exit(3) }).await.expect("it never comes back");
    });
}

fn process_exit_inside_a_task_delivers() {
    for flavour in ["multi", "current"] {
        let receiver = receiver();
        let child = Child::new("exit_in_task").arg(flavour).to(&receiver).run().code(3).quiet().within(SLACK);
        assert_arrived(&receiver, &["from a task", "from the runtime"], &child);
    }
}

/// A thread as libtest makes one for a test, which initializes as tests do and leaves without a flush.
fn test_thread(_: &[String]) {
    let thread = std::thread::Builder::new().name("tests::it_works".to_owned()).spawn(|| {
        logbridge::builder().is_test(true).try_init().expect("free slots");
        log::info!("from log");
        tracing::info!("from tracing");
    });
    thread.expect("a thread").join().expect("a test that passes");
}

fn a_test_thread_with_is_test_delivers_and_prints() {
    let receiver = receiver();
    let child = Child::new("test_thread").to(&receiver).run().success().quiet().within(SLACK);
    assert_arrived(&receiver, &["from log", "from tracing"], &child);
    assert!(receiver.logs().iter().all(|log| log.attributes["thread.name"] == "tests::it_works"));
    assert_eq!((child.count("] from log\n"), child.count("] from tracing\n")), (1, 1), "{child}");
}
