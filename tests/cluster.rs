//! Pacemaker: a CIB in a file with the real pcs, crm_verify and crm_simulate; the running cluster by transcript (the
//! sequences were worked out, and are run for real, in `tests/lab`).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests are tests, though clippy cannot see it")]

mod support;

use ovz2lxc::cluster::{CibFile, Cluster, Pcs, cluster_for, detect};
use ovz2lxc::error::Kind;
use ovz2lxc::host::{Command, Effect, Exchange, Host, Local, Output, Process, RemoteShell, Replay};
use ovz2lxc::model::resource::{ClusterChoice, ResourcePlan};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::skip;

const LXC_PATH: &str = "/var/lib/lxc";

fn run(program: &str, args: &[&str]) -> Output {
    Local::new().run(&Command::write(program).args(args)).unwrap()
}

fn ok(program: &str, args: &[&str]) -> String {
    let command = Command::write(program).args(args);
    Local::new().run_ok(&command).unwrap().text()
}

fn installed(test: &str) -> bool {
    let programs = ["pcs", "cibadmin", "crm_verify", "crm_simulate", "crm_resource"];
    for program in programs {
        if run("sh", &["-c", &format!("command -v {program}")]).status != 0 {
            skip(test, &format!("{program} is not installed"));
            return false;
        }
    }
    if !Path::new("/usr/lib/ocf/resource.d/heartbeat/lxc").exists() {
        skip(test, "resource-agents is not installed");
        return false;
    }
    true
}

/// A two-node cluster with a clone that mounts the LXC path, as a file; written here, so that no pcs is needed for it.
fn cluster(dir: &Path) -> PathBuf {
    let file = dir.join("cib.xml");
    let xml = r#"<cib crm_feature_set="3.16.1" validate-with="pacemaker-3.9" epoch="1" num_updates="0" admin_epoch="0" have-quorum="1">
  <configuration>
    <crm_config><cluster_property_set id="options">
      <nvpair id="options-stonith" name="stonith-enabled" value="false"/>
    </cluster_property_set></crm_config>
    <nodes><node id="1" uname="nodeA"/><node id="2" uname="nodeB"/></nodes>
    <resources>
      <clone id="conf-clone">
        <primitive id="conf" class="ocf" provider="heartbeat" type="Filesystem">
          <instance_attributes id="conf-ia">
            <nvpair id="conf-ia-device" name="device" value="/dev/vg/conf"/>
            <nvpair id="conf-ia-directory" name="directory" value="/var/lib/lxc"/>
            <nvpair id="conf-ia-fstype" name="fstype" value="gfs2"/>
          </instance_attributes>
        </primitive>
        <meta_attributes id="conf-clone-meta"><nvpair id="conf-clone-meta-i" name="interleave" value="true"/></meta_attributes>
      </clone>
    </resources>
    <constraints/>
    <rsc_defaults><meta_attributes id="defaults"><nvpair id="defaults-s" name="resource-stickiness" value="100"/></meta_attributes></rsc_defaults>
  </configuration>
  <status/>
</cib>
"#;
    std::fs::write(&file, xml).unwrap();
    file
}

fn plan(with_volume: bool) -> ResourcePlan {
    ResourcePlan {
        id: "lxc-web".into(),
        config: "/var/lib/lxc/lxc-web/config".into(),
        logical_volume: with_volume.then(|| ("shared_vg".into(), "lxc-web".into())),
        lvmlockd: true,
        shared_fs: Some("conf-clone".into()),
        start_timeout: 120,
        stop_timeout: 125,
        monitor_interval: 60,
    }
}

fn offline(file: &Path) -> CibFile {
    CibFile::new(Arc::new(Local::new()), file.to_owned())
}

/// Plays the cluster: carries out what the configuration asks for, and returns the summary of what was done.
fn step(file: &Path) -> String {
    let (shown, new) = (file.to_str().unwrap(), file.with_extension("new"));
    let said = ok("crm_simulate", &["-x", shown, "-u", "nodeA", "-u", "nodeB", "-S", "-O", new.to_str().unwrap()]);
    std::fs::rename(new, file).unwrap();
    let summary = said.lines().skip_while(|l| !l.starts_with("Transition Summary"));
    summary.take_while(|l| !l.starts_with("Executing")).collect::<Vec<_>>().join("\n")
}

fn located(file: &Path, id: &str) -> String {
    let variable = format!("CIB_file={}", file.display());
    ok("env", &[&variable, "crm_resource", "--locate", "--resource", id])
}

/// The configuration without what every edit changes: the document's own version, and empty sections' spelling.
fn configuration(file: &Path) -> String {
    let variable = format!("CIB_file={}", file.display());
    ok("env", &[&variable, "cibadmin", "--query", "-o", "configuration"])
}

#[test]
fn a_container_is_registered_enabled_and_removed_without_a_trace() {
    if !installed("a_container_is_registered_enabled_and_removed_without_a_trace") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = cluster(dir.path());
    step(&file);
    let before = configuration(&file);
    let (cluster, plan) = (offline(&file), plan(true));
    let facts = cluster.inspect("lxc-web", Path::new(LXC_PATH)).unwrap();
    assert_eq!((facts.present, facts.resource_exists, facts.trouble), (true, false, None));
    assert_eq!(facts.shared_fs.as_deref(), Some("conf-clone"));

    cluster.register(&plan).unwrap();
    ok("crm_verify", &["--xml-file", file.to_str().unwrap()]);
    assert!(cluster.inspect("lxc-web", Path::new(LXC_PATH)).unwrap().resource_exists);
    let summary = step(&file);
    assert!(!summary.contains("lxc-web"), "registered means left stopped: {summary}");
    let again = cluster.register(&plan).unwrap_err();
    assert!(again.chain().iter().any(|c| c.contains("already")), "{again:?}");

    cluster.hand_over(&plan).unwrap();
    let summary = step(&file);
    let started = |id: &str| summary.lines().position(|l| l.contains("Start") && l.split_whitespace().any(|w| w == id));
    assert!(started("lxc-web-lv").unwrap() < started("lxc-web").unwrap(), "{summary}");
    let place = located(&file, "lxc-web");
    assert!(place.contains("is running on: node"), "{place}");
    assert_eq!(place.split(": ").nth(1), located(&file, "lxc-web-lv").split(": ").nth(1));
    let constraints = configuration(&file);
    assert!(constraints.contains(r#"first="conf-clone" then="lxc-web-group""#), "{constraints}");
    assert!(constraints.contains(r#"rsc="lxc-web-group" with-rsc="conf-clone" score="INFINITY""#), "{constraints}");
    assert!(constraints.contains(r#"name="stop" timeout="125s""#), "{constraints}");

    cluster.unregister(&plan).unwrap();
    assert_eq!(configuration(&file), before);
    cluster.unregister(&plan).expect("absent is fine");
}

#[test]
fn without_a_logical_volume_the_primitive_stands_alone() {
    if !installed("without_a_logical_volume_the_primitive_stands_alone") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = cluster(dir.path());
    let before = configuration(&file);
    let cluster = offline(&file);
    let plan = ResourcePlan { shared_fs: None, ..plan(false) };
    cluster.register(&plan).unwrap();
    assert!(!configuration(&file).contains("lxc-web-group"));
    assert!(!step(&file).contains("lxc-web"));
    cluster.hand_over(&plan).unwrap();
    assert!(step(&file).contains("lxc-web"));
    cluster.unregister(&plan).unwrap();
    assert_eq!(configuration(&file), before);
}

#[test]
fn a_failed_edit_and_a_taken_name_leave_the_file_as_it_was() {
    if !installed("a_failed_edit_and_a_taken_name_leave_the_file_as_it_was") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = cluster(dir.path());
    let before = std::fs::read(&file).unwrap();
    // pcs makes the resources, then fails at the constraint.
    let nowhere = ResourcePlan { shared_fs: Some("nope-clone".into()), ..plan(false) };
    let error = offline(&file).register(&nowhere).unwrap_err();
    assert!(error.chain().last().unwrap().contains("nope-clone"), "{error:?}");
    let taken = ResourcePlan { id: "conf".into(), ..plan(false) };
    assert!(offline(&file).register(&taken).is_err());
    let odd = ResourcePlan { id: "-x".into(), ..plan(false) };
    assert_eq!(offline(&file).register(&odd).unwrap_err().kind(), Kind::Usage);
    assert_eq!(std::fs::read(&file).unwrap(), before);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no copy is left behind");
}

#[test]
fn a_file_that_is_missing_or_no_cib_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let missing = offline(&dir.path().join("no.xml")).inspect("lxc-web", Path::new(LXC_PATH)).unwrap_err();
    assert_eq!(missing.kind(), Kind::Usage);
    let file = dir.path().join("cib.xml");
    std::fs::write(&file, "<html></html>").unwrap();
    assert!(offline(&file).inspect("lxc-web", Path::new(LXC_PATH)).unwrap_err().chain()[2].contains("<html>"));
}

#[test]
fn the_choice_makes_the_adapter() {
    let none = || Arc::new(Replay::new("h").then(query_config().breaks("cibadmin is not installed"))) as Arc<dyn Host>;
    assert!(!detect(none().as_ref()));
    assert_eq!(cluster_for(&ClusterChoice::Auto, none()).unwrap().name(), "none");
    let stopped = Replay::new("h").then(query_config().fails(102, "Could not connect to the CIB\n"));
    assert_eq!(cluster_for(&ClusterChoice::Auto, Arc::new(stopped)).unwrap().name(), "none");
    let running = Replay::new("h").then(query_config().says("<crm_config/>\n"));
    assert_eq!(cluster_for(&ClusterChoice::Auto, Arc::new(running)).unwrap().name(), "pcs");
    let quiet = || Arc::new(Replay::new("h")) as Arc<dyn Host>;
    assert_eq!(cluster_for(&ClusterChoice::Cib("/x".into()), quiet()).unwrap().name(), "cib:/x");
    assert_eq!(cluster_for(&ClusterChoice::None, quiet()).unwrap().name(), "none");
    assert_eq!(cluster_for(&ClusterChoice::Crmsh, quiet()).err().unwrap().kind(), Kind::Usage);
}

fn query_config() -> Exchange {
    Exchange::of(["cibadmin", "--query", "-o", "crm_config"]).effect(Effect::Read)
}

// ---- The running cluster -------------------------------------------------------------------------------------------

/// A running cluster as far as the adapter sees it: a host that answers from a model, because the names of temporary
/// files differ from run to run.
struct Running {
    asked: Mutex<Vec<String>>,
    /// What `crm_resource --locate` says, one after the other; the last one stays.
    places: Mutex<Vec<&'static str>>,
    /// What `crm_simulate` would do.
    summary: &'static str,
    /// What `cibadmin --query` says, one after the other; the last one stays.
    cibs: Mutex<Vec<String>>,
    /// The status of `cibadmin --patch`, one after the other; the last one stays.
    patches: Mutex<Vec<i32>>,
}

const HERE: &str = "resource lxc-web is running on: nodeA \n";
const NOWHERE: &str = "resource lxc-web is NOT running\n";

impl Running {
    fn new() -> Running {
        let group = "<group id='lxc-web-group'><primitive id='lxc-web-lv'/><primitive id='lxc-web' class='ocf' \
             provider='heartbeat' type='lxc'><instance_attributes id='i'><nvpair id='c' name='container' \
             value='lxc-web'/></instance_attributes></primitive></group>";
        Running {
            asked: Mutex::default(),
            places: Mutex::new(vec![HERE]),
            summary: "",
            cibs: Mutex::new(vec![cib(group, "")]),
            patches: Mutex::new(vec![0]),
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn next<T: Clone>(list: &Mutex<Vec<T>>) -> T {
        let mut list = list.lock().unwrap();
        if list.len() > 1 { list.remove(0) } else { list[0].clone() }
    }
}

fn cib(resources: &str, history: &str) -> String {
    format!(
        "<cib have-quorum='1'><configuration><crm_config/><nodes><node id='1' uname='nodeA'/><node id='2' \
         uname='nodeB'/></nodes><resources>{resources}</resources><constraints/></configuration><status><node_state \
         id='1' uname='nodeA' crmd='online' in_ccm='true'>{history}</node_state></status></cib>"
    )
}

impl Host for Running {
    fn label(&self) -> &str {
        "nodeA"
    }

    fn run(&self, command: &Command) -> ovz2lxc::error::Result<Output> {
        let words: Vec<String> = command.argv().iter().map(|a| a.to_string_lossy().into_owned()).collect();
        // Temporary files have names of their own in every run.
        let shown = |w: &String| if w.contains("/tmp") { "FILE".to_owned() } else { w.clone() };
        let line = words.iter().map(shown).collect::<Vec<_>>().join(" ");
        let answer = |stdout: &str| Output { stdout: stdout.as_bytes().to_vec(), ..Output::default() };
        let output = match line.as_str() {
            "crm_node -n" => answer("nodeA\n"),
            "cibadmin --query" => answer(&Running::next(&self.cibs)),
            l if l.starts_with("crm_resource --locate") => answer(Running::next(&self.places)),
            l if l.starts_with("crm_simulate") => {
                answer(&format!("Transition Summary:\n{}\nExecuting Cluster Transition:\n", self.summary))
            }
            l if l.starts_with("crm_diff") => Output { status: 1, ..answer("<diff/>") },
            l if l.starts_with("cibadmin --patch") => {
                let status = Running::next(&self.patches);
                Output { status, stderr: b"Call failed: Application of an update diff failed\n".to_vec(), ..answer("") }
            }
            _ => answer(""),
        };
        self.asked.lock().unwrap().push(line);
        Ok(output)
    }

    fn spawn(&self, _: &Command) -> ovz2lxc::error::Result<Box<dyn Process>> {
        panic!("nothing is streamed")
    }

    fn read_file(&self, _: &Path, _: u64) -> ovz2lxc::error::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn remote_shell(&self) -> Option<RemoteShell> {
        None
    }

    fn another(&self) -> ovz2lxc::error::Result<Box<dyn Host>> {
        panic!("one connection is enough")
    }
}

fn live(host: &Arc<Running>) -> Pcs {
    Pcs::new(Arc::clone(host) as Arc<dyn Host>).patience(Duration::from_millis(10))
}

const MANAGE: &str = "crm_resource --resource lxc-web-group --meta --delete-parameter is-managed";
const UNMANAGE: &str =
    "crm_resource --resource lxc-web-group --meta --set-parameter is-managed --parameter-value false";

#[test]
fn a_running_container_is_managed_only_after_it_was_found_and_would_be_left_alone() {
    let host = Arc::new(Running::new());
    live(&host).hand_over(&plan(true)).unwrap();
    assert_eq!(
        host.asked(),
        [
            "cibadmin --query",
            "crm_node -n",
            UNMANAGE,
            "crm_resource --resource lxc-web-group --meta --delete-parameter target-role",
            "crm_resource --refresh --resource lxc-web-group --node nodeA",
            "crm_resource --locate --resource lxc-web-lv",
            "crm_resource --locate --resource lxc-web",
            "cibadmin --query",
            "env FILE crm_resource --resource lxc-web-group --meta --delete-parameter is-managed",
            "crm_simulate --xml-file FILE --simulate",
            MANAGE,
            "crm_resource --wait --timeout=1",
            "crm_resource --locate --resource lxc-web-lv",
            "crm_resource --locate --resource lxc-web",
        ]
    );
}

#[test]
fn a_container_that_the_cluster_would_move_or_does_not_find_stays_unmanaged() {
    let moved = Running { summary: "  * Move       lxc-web    ( nodeA -> nodeB )", ..Running::new() };
    let nowhere = Running { places: Mutex::new(vec![NOWHERE]), ..Running::new() };
    let elsewhere = "resource lxc-web is running on: nodeB \n";
    let elsewhere = Running { places: Mutex::new(vec![elsewhere]), ..Running::new() };
    for (host, why) in [(moved, "Move lxc-web"), (nowhere, "does not find"), (elsewhere, "on nodeB")] {
        let host = Arc::new(host);
        let error = live(&host).hand_over(&plan(true)).unwrap_err();
        assert!(error.chain()[1].contains(why), "{error:?}");
        assert!(error.first_hint().unwrap().contains("not managed"), "{error:?}");
        assert!(!host.asked().contains(&MANAGE.to_owned()), "{why}");
    }
}

#[test]
fn a_resource_is_deleted_only_when_the_cluster_has_forgotten_that_it_runs() {
    let with = |history: &str| {
        let fresh = Running::new().cibs.into_inner().unwrap().remove(0);
        fresh.replace("in_ccm='true'>", &format!("in_ccm='true'>{history}"))
    };
    let remembered = with("<lrm id='1'><lrm_resource id='lxc-web'/></lrm>");
    // For: is it ours, the names of the nodes, two looks at the history, the copy that pcs edits.
    let cibs = vec![remembered.clone(), remembered.clone(), remembered.clone(), with("")];
    let host = Arc::new(Running { cibs: Mutex::new(cibs), ..Running::new() });
    let patient = Pcs::new(Arc::clone(&host) as Arc<dyn Host>).patience(Duration::from_secs(30));
    patient.unregister(&plan(true)).unwrap();
    let asked = host.asked();
    let at =
        |line: &str| asked.iter().position(|l| l.starts_with(line)).unwrap_or_else(|| panic!("{line} in {asked:#?}"));
    assert!(at(UNMANAGE) < at("cibadmin --modify"));
    let constraints = &asked[at("cibadmin --modify")];
    assert!(
        constraints.contains(r#"rsc="lxc-web-group" node="nodeB" score="0" resource-discovery="never""#),
        "{constraints}"
    );
    assert!(at("cibadmin --modify") < at("crm_resource --refresh --resource lxc-web-group"));
    assert!(at("crm_resource --refresh") < at("pcs -f FILE resource delete lxc-web-group"));
    assert!(at("pcs -f FILE resource delete") < at("cibadmin --patch --xml-pipe"));

    let host = Arc::new(Running { cibs: Mutex::new(vec![remembered]), ..Running::new() });
    let error = live(&host).unregister(&plan(true)).unwrap_err();
    assert!(error.chain()[1].contains("would stop the container"), "{error:?}");
    assert!(!host.asked().iter().any(|l| l.contains("resource delete")));
}

#[test]
fn a_container_that_runs_on_another_node_is_not_forgotten_from_here() {
    let elsewhere = "resource lxc-web is running on: nodeB \n";
    let host = Arc::new(Running { places: Mutex::new(vec![elsewhere]), ..Running::new() });
    let error = live(&host).unregister(&plan(true)).unwrap_err();
    assert!(error.chain()[1].contains("runs on nodeB"), "{error:?}");
    assert_eq!(host.asked(), ["cibadmin --query", "crm_node -n", "crm_resource --locate --resource lxc-web"]);
}

#[test]
fn an_edit_is_made_again_when_somebody_else_was_faster_and_given_up_at_last() {
    let empty = || Mutex::new(vec![cib("", "")]);
    let host = Arc::new(Running { cibs: empty(), patches: Mutex::new(vec![65, 0]), ..Running::new() });
    live(&host).register(&plan(true)).unwrap();
    let creates = |host: &Running| host.asked().iter().filter(|l| l.contains("resource create lxc-web ")).count();
    assert_eq!(creates(&host), 2);
    let host = Arc::new(Running { cibs: empty(), patches: Mutex::new(vec![65]), ..Running::new() });
    let error = live(&host).register(&plan(true)).unwrap_err();
    assert!(error.chain().last().unwrap().contains("update diff failed"), "{error:?}");
    assert_eq!(creates(&host), 3);
}

#[test]
fn what_is_not_ours_is_not_removed() {
    let other = cib("<primitive id='lxc-web' class='ocf' provider='heartbeat' type='Dummy'/>", "");
    let host = Arc::new(Running { cibs: Mutex::new(vec![other]), ..Running::new() });
    let error = live(&host).unregister(&plan(true)).unwrap_err();
    assert!(error.chain()[1].contains("does not run this container"), "{error:?}");
    assert_eq!(host.asked(), ["cibadmin --query"]);
    let host = Arc::new(Running { cibs: Mutex::new(vec![cib("", "")]), ..Running::new() });
    live(&host).unregister(&plan(true)).expect("absent is fine");
    assert_eq!(host.asked(), ["cibadmin --query"]);
}
