//! Users: they create, scale, update and delete what clusters are for, and now and then a machine is lost.

use std::time::Duration;

use serde_json::{Value, json};
use windlass_api::resource::{
    CONFIG_MAPS, CRON_JOBS, CUSTOM_RESOURCE_DEFINITIONS, DAEMON_SETS, DEPLOYMENTS, JOBS, NAMESPACES, NODES,
    POD_DISRUPTION_BUDGETS, PODS, RESOURCE_QUOTAS, SERVICES, STATEFUL_SETS,
};
use windlass_api::well_known::group;
use windlass_api::{GroupVersionResource, ObjectKey, Status};
use windlass_auth::User;
use windlass_client::{Client, DeleteOptions, OBJECT, Propagation};
use windlass_testing::{Dice, Life, knob};

use crate::custom::{self, COUNTED, WIDGETS};
use crate::world::{World, key_of};

const NAMESPACES_USED: [&str; 3] = ["default", "red", "blue"];
/// The longest pause between two actions.
const PAUSE_MAX_MILLIS: u64 = 20_000;
const ATTEMPTS: usize = 4;

pub(crate) struct Users {
    client: Client,
    dice: Dice,
    actions: u64,
}

impl Users {
    pub(crate) fn new(world: &World, dice: Dice) -> Self {
        let transport = world.cluster.transport(User::new("user", &[group::MASTERS]), "user");
        let client = Client::new(Life::immortal(&world.faults, "user").over(transport));
        let actions = dice.between(8, 30);
        Self { client, dice, actions }
    }

    /// Does all that they have in mind.
    pub(crate) async fn work(&mut self, world: &mut World) {
        for namespace in ["red", "blue"] {
            self.create(world, &NAMESPACES, "", json!({"metadata": {"name": namespace}})).await;
        }
        if self.dice.happens(0.6) {
            self.define_or_take_away(world).await;
        }
        for _ in 0..self.actions {
            let pause = self.dice.below(PAUSE_MAX_MILLIS);
            // Much comes at once.
            if self.dice.happens(0.7) {
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            self.act(world).await;
        }
        let pause = self.dice.below(PAUSE_MAX_MILLIS);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    async fn act(&mut self, world: &mut World) {
        let namespace = *self.dice.pick(&NAMESPACES_USED);
        match self.dice.below(100) {
            0..14 => self.create_deployment(world, namespace).await,
            14..22 => self.create_stateful_set(world, namespace).await,
            22..26 => self.create_daemon_set(world, namespace).await,
            26..33 => self.create_job(world, namespace).await,
            33..36 => self.create_cron_job(world, namespace).await,
            36..43 => self.create_service(world, namespace).await,
            43..46 => self.set_quota(world, namespace).await,
            46..48 => self.create_budget(world, namespace).await,
            48..58 => self.scale(world).await,
            58..68 => self.update(world).await,
            68..71 => self.hold_or_go_on(world).await,
            71..77 => self.delete(world).await,
            77..81 => self.delete_pod(world).await,
            81..83 => self.delete_namespace(world).await,
            83..86 => self.define_or_take_away(world).await,
            86..91 => self.create_or_grow_widget(world, namespace).await,
            _ => self.touch_node(world).await,
        }
    }

    async fn create_deployment(&mut self, world: &World, namespace: &str) {
        let name = format!("web-{}", self.dice.below(3));
        let strategy = match self.dice.below(4) {
            0 => json!({"type": "Recreate"}),
            1 => json!({"rollingUpdate": {"maxSurge": "50%", "maxUnavailable": 0}}),
            2 => json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}),
            _ => json!({}),
        };
        let spec = json!({
            "replicas": self.dice.below(6), "strategy": strategy, "minReadySeconds": self.dice.pick(&[0, 0, 5]),
            "revisionHistoryLimit": self.dice.pick(&[0, 1, 10]),
            "selector": {"matchLabels": {"app": name}}, "template": self.template(&name, "Always"),
        });
        self.create(world, &DEPLOYMENTS, namespace, json!({"metadata": {"name": name}, "spec": spec})).await;
    }

    async fn create_stateful_set(&mut self, world: &World, namespace: &str) {
        let name = format!("db-{}", self.dice.below(2));
        let spec = json!({
            "replicas": self.dice.below(5), "serviceName": name,
            "podManagementPolicy": self.dice.pick(&["OrderedReady", "Parallel"]),
            "selector": {"matchLabels": {"app": name}}, "template": self.template(&name, "Always"),
        });
        self.create(world, &STATEFUL_SETS, namespace, json!({"metadata": {"name": name}, "spec": spec})).await;
    }

    async fn create_daemon_set(&mut self, world: &World, namespace: &str) {
        let surge = self.dice.below(2);
        let strategy = json!({"maxSurge": surge, "maxUnavailable": 1 - surge});
        let spec = json!({
            "updateStrategy": {"rollingUpdate": strategy},
            "selector": {"matchLabels": {"app": "agent"}}, "template": self.template("agent", "Always"),
        });
        self.create(world, &DAEMON_SETS, namespace, json!({"metadata": {"name": "agent"}, "spec": spec})).await;
    }

    fn job_spec(&mut self, name: &str) -> Value {
        let restart = if self.dice.happens(0.5) { "Never" } else { "OnFailure" };
        let mut template = self.template(name, restart);
        template["metadata"]["annotations"][knob::RUN_SECONDS] = json!(self.dice.between(1, 40).to_string());
        template["metadata"]["annotations"][knob::EXIT_CODE] = json!(self.dice.pick(&["0", "0", "0", "1"]));
        let mode = self.dice.pick(&["Indexed", "NonIndexed"]);
        json!({"completions": self.dice.between(1, 4), "parallelism": self.dice.between(1, 3), "completionMode": mode,
            "backoffLimit": self.dice.below(4), "template": template})
    }

    async fn create_job(&mut self, world: &World, namespace: &str) {
        let name = format!("task-{}", self.dice.below(3));
        let mut spec = self.job_spec(&name);
        if self.dice.happens(0.3) {
            spec["ttlSecondsAfterFinished"] = json!(self.dice.below(60));
        }
        self.create(world, &JOBS, namespace, json!({"metadata": {"name": name}, "spec": spec})).await;
    }

    async fn create_cron_job(&mut self, world: &World, namespace: &str) {
        let spec = json!({
            "schedule": "* * * * *", "concurrencyPolicy": self.dice.pick(&["Allow", "Forbid", "Replace"]),
            "successfulJobsHistoryLimit": self.dice.below(3), "failedJobsHistoryLimit": self.dice.below(2),
            "jobTemplate": {"spec": self.job_spec("often")},
        });
        self.create(world, &CRON_JOBS, namespace, json!({"metadata": {"name": "often"}, "spec": spec})).await;
    }

    async fn create_service(&mut self, world: &World, namespace: &str) {
        let name = *self.dice.pick(&["web-0", "web-1", "db-0", "db-1", "agent"]);
        let mut spec = json!({"selector": {"app": name}, "ports": [{"port": 80}],
            "publishNotReadyAddresses": self.dice.happens(0.2)});
        if name.starts_with("db") {
            spec["clusterIP"] = json!("None");
        }
        self.create(world, &SERVICES, namespace, json!({"metadata": {"name": name}, "spec": spec})).await;
    }

    async fn set_quota(&mut self, world: &World, namespace: &str) {
        let hard = json!({"hard": {"pods": self.dice.between(2, 12).to_string(), "count/deployments.apps": "100",
            COUNTED: "100"}});
        let key = ObjectKey::new(namespace, "limits");
        if world.cluster.lacks(&RESOURCE_QUOTAS, &key).await {
            self.create(world, &RESOURCE_QUOTAS, namespace, json!({"metadata": {"name": "limits"}, "spec": hard}))
                .await;
        } else {
            self.patch(world, &RESOURCE_QUOTAS, &key, json!({"spec": hard})).await;
        }
    }

    async fn create_budget(&mut self, world: &World, namespace: &str) {
        let name = *self.dice.pick(&["web-0", "db-0"]);
        let spec = json!({"maxUnavailable": 1, "selector": {"matchLabels": {"app": name}}});
        let budget = json!({"metadata": {"name": name}, "spec": spec});
        self.create(world, &POD_DISRUPTION_BUDGETS, namespace, budget).await;
    }

    async fn define_or_take_away(&mut self, world: &World) {
        let key = custom::definition_key();
        if world.cluster.lacks(&CUSTOM_RESOURCE_DEFINITIONS, &key).await {
            world.story.tell("user: define widgets");
            let definition = custom::definition();
            let created = self
                .ask(async |client: &Client| {
                    client.create(&CUSTOM_RESOURCE_DEFINITIONS, "", &definition).await.map(drop)
                })
                .await;
            assert!(!created.is_err_and(|status| status.code == 422), "the definition of widgets is not valid");
            return;
        }
        world.story.tell("user: delete the definition of widgets");
        self.attempt(async |client: &Client| {
            client.delete(&CUSTOM_RESOURCE_DEFINITIONS, &key, &DeleteOptions::default()).await.map(drop)
        })
        .await;
    }

    /// Widgets have ConfigMaps of their own, and may have an owner.
    async fn create_or_grow_widget(&mut self, world: &World, namespace: &str) {
        let key = ObjectKey::new(namespace, format!("w-{}", self.dice.below(4)));
        let spec = json!({"size": self.dice.below(5)});
        if !world.cluster.lacks(&WIDGETS, &key).await {
            return self.patch(world, &WIDGETS, &key, json!({"spec": spec})).await;
        }
        let mut metadata = json!({"name": key.name});
        let deployments = world.cluster.list(&DEPLOYMENTS, namespace).await;
        if !deployments.is_empty() && self.dice.happens(0.4) {
            let owner = &self.dice.pick(&deployments)["metadata"];
            let reference =
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": owner["name"], "uid": owner["uid"]});
            metadata["ownerReferences"] = json!([reference]);
        }
        self.create(
            world,
            &WIDGETS,
            namespace,
            json!({"apiVersion": "sim.example.com/v1", "kind": "Widget",
            "metadata": metadata, "spec": spec}),
        )
        .await;
        if let Ok(widget) = world.cluster.admin.get(&WIDGETS, &key).await {
            self.create(world, &CONFIG_MAPS, namespace, custom::owned_by(&widget.decode().unwrap())).await;
        }
    }

    async fn scale(&mut self, world: &World) {
        let resource = self.dice.pick(&[DEPLOYMENTS, STATEFUL_SETS, JOBS]).clone();
        let Some(key) = self.any(world, &resource).await else { return };
        let spec = if resource == JOBS {
            json!({"parallelism": self.dice.between(0, 4)})
        } else {
            json!({"replicas": self.dice.below(7)})
        };
        // Parallelism 0 is a job that waits: it goes on by another scaling, or at the end.
        let spec = if spec["parallelism"] == 0 { json!({"suspend": true}) } else { spec };
        self.patch(world, &resource, &key, json!({"spec": spec})).await;
    }

    async fn update(&mut self, world: &World) {
        let resource = self.dice.pick(&[DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS]).clone();
        let Some(key) = self.any(world, &resource).await else { return };
        let version = self.dice.below(4).to_string();
        let patch = json!({"spec": {"template": {"metadata": {"annotations": {"version": version}}}}});
        self.patch(world, &resource, &key, patch).await;
    }

    async fn hold_or_go_on(&mut self, world: &World) {
        let (resource, field) =
            self.dice.pick(&[(DEPLOYMENTS, "paused"), (JOBS, "suspend"), (CRON_JOBS, "suspend")]).clone();
        let Some(key) = self.any(world, &resource).await else { return };
        let patch = json!({"spec": {field: self.dice.happens(0.5)}});
        self.patch(world, &resource, &key, patch).await;
    }

    async fn delete(&mut self, world: &World) {
        let kinds =
            [DEPLOYMENTS, DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS, JOBS, CRON_JOBS, SERVICES, RESOURCE_QUOTAS, WIDGETS];
        let resource = self.dice.pick(&kinds).clone();
        let Some(key) = self.any(world, &resource).await else { return };
        let policy = *self.dice.pick(&[Propagation::Background, Propagation::Foreground, Propagation::Orphan]);
        world.story.tell(format_args!("user: delete {} {key}, {policy:?}", resource.resource));
        let options = DeleteOptions::default().propagation(policy);
        self.attempt(async |client: &Client| client.delete(&resource, &key, &options).await.map(drop)).await;
    }

    async fn delete_pod(&mut self, world: &World) {
        let Some(key) = self.any(world, &PODS).await else { return };
        world.story.tell(format_args!("user: delete pods {key}"));
        self.attempt(async |client: &Client| client.delete(&PODS, &key, &DeleteOptions::default()).await.map(drop))
            .await;
    }

    async fn delete_namespace(&mut self, world: &World) {
        let name = *self.dice.pick(&["red", "blue"]);
        let key = ObjectKey::new("", name);
        if world.cluster.lacks(&NAMESPACES, &key).await {
            return self.create(world, &NAMESPACES, "", json!({"metadata": {"name": name}})).await;
        }
        world.story.tell(format_args!("user: delete namespace {name}"));
        self.attempt(async |client: &Client| {
            client.delete(&NAMESPACES, &key, &DeleteOptions::default()).await.map(drop)
        })
        .await;
    }

    async fn touch_node(&mut self, world: &mut World) {
        let name = self.dice.pick(&world.nodes).clone();
        let key = ObjectKey::new("", name.clone());
        match (world.runs(&name), self.dice.below(4)) {
            (true, 0) => {
                world.story.tell(format_args!("{name}: the machine is lost"));
                world.stop_kubelet(&name);
                world.machines.machine(&name).crash();
            }
            (true, 1) => {
                world.story.tell(format_args!("{name}: the kubelet falls silent"));
                world.stop_kubelet(&name);
            }
            (true, _) => {
                let patch = json!({"spec": {"unschedulable": self.dice.happens(0.5)}});
                self.patch(world, &NODES, &key, patch).await;
            }
            (false, 0) => {
                world.story.tell(format_args!("{name}: its Node is deleted, and the machine with it"));
                world.machines.machine(&name).crash();
                self.attempt(async |client: &Client| {
                    client.delete(&NODES, &key, &DeleteOptions::default()).await.map(drop)
                })
                .await;
            }
            (false, _) => {
                world.story.tell(format_args!("{name}: the kubelet is back"));
                let dice = self.dice.fork();
                world.start_kubelet(&name, &dice);
            }
        }
    }

    fn template(&mut self, app: &str, restart: &str) -> Value {
        let millis = self.dice.pick(&["0", "300", "5000"]).to_string();
        json!({
            "metadata": {"labels": {"app": app}, "annotations": {"version": "0", knob::STOP_MILLIS: millis}},
            "spec": {"restartPolicy": restart,
                "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "100m"}}}]},
        })
    }

    /// One of the objects of a resource that users have made.
    async fn any(&mut self, world: &World, resource: &GroupVersionResource) -> Option<ObjectKey> {
        let objects = match *resource == WIDGETS {
            true => custom::widgets(world).await,
            false => world.cluster.list(resource, "").await,
        };
        let mut all: Vec<ObjectKey> = objects.iter().map(key_of).collect();
        all.retain(|key| NAMESPACES_USED.contains(&key.namespace.as_str()) && key.name != "kubernetes");
        if all.is_empty() { None } else { Some(self.dice.pick(&all).clone()) }
    }

    async fn create(&mut self, world: &World, resource: &GroupVersionResource, namespace: &str, object: Value) {
        world.story.tell(format_args!("user: create {} in {namespace}: {object}", resource.resource));
        self.attempt(async |client: &Client| client.create(resource, namespace, &object).await.map(drop)).await;
    }

    async fn patch(&mut self, world: &World, resource: &GroupVersionResource, key: &ObjectKey, patch: Value) {
        world.story.tell(format_args!("user: patch {} {key}: {patch}", resource.resource));
        self.attempt(async |client: &Client| client.patch(resource, key, OBJECT, &patch).await.map(drop)).await;
    }

    /// Does what can be done; what is refused is refused.
    async fn attempt(&mut self, request: impl AsyncFn(&Client) -> Result<(), Status>) {
        let _ = self.ask(request).await;
    }

    /// Tries again what the network or a busy server made fail.
    async fn ask(&mut self, request: impl AsyncFn(&Client) -> Result<(), Status>) -> Result<(), Status> {
        for _ in 1..ATTEMPTS {
            match request(&self.client).await {
                Err(status) if status.code >= 429 && status.code != 422 => {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                result => return result,
            }
        }
        request(&self.client).await
    }
}
