//! A client at the standard streams of a container's first process: output from now on, and input.

use std::sync::Arc;

use futures::FutureExt;
use windlass_cri::{AttachRequest, Result, Session};

use super::Container;
use super::exec::forward_sizes;
use crate::core::Core;
use crate::error::from_supervisor;
use crate::stream;
use crate::supervisor::protocol::Request;

pub(crate) async fn attach(core: &Core, container: &Arc<Container>, request: AttachRequest) -> Result<Session> {
    container.running_pid()?;
    let (terminal, has_stdin) = {
        let state = container.state.lock();
        (state.file.launch.io.terminal, state.file.launch.io.stdin || state.file.launch.io.terminal)
    };
    let mut session =
        Session { stdin: None, stdout: None, stderr: None, resize: None, exit: exit_of(container.clone()) };
    let mut fds = Vec::new();
    let stdin = request.stdin && has_stdin;
    if stdin {
        let (writer, fd) = stream::pipe_to_process()?;
        session.stdin = Some(writer);
        fds.push(fd);
    } else if request.stdin {
        // A container without stdin takes what is sent and does nothing with it.
        session.stdin = Some(Box::pin(tokio::io::sink()));
    }
    let stderr = request.stderr && !terminal;
    for (wanted, slot) in [(request.stdout, &mut session.stdout), (stderr, &mut session.stderr)] {
        if wanted {
            let (reader, fd) = stream::pipe_from_process()?;
            *slot = Some(reader);
            fds.push(fd);
        }
    }
    let client = core.supervisor().await?;
    let container_id = container.id.clone();
    let attach = Request::Attach { container_id: container_id.clone(), stdin, stdout: request.stdout, stderr };
    client.call(attach, fds).await.map_err(|error| from_supervisor("attach to container", &error))?;
    if terminal {
        session.resize = Some(forward_sizes(move |size| {
            let (client, container_id) = (client.clone(), container_id.clone());
            async move {
                let resize = Request::Resize { container_id, width: size.width, height: size.height };
                let _ = client.order(resize).await;
            }
        }));
    }
    Ok(session)
}

fn exit_of(container: Arc<Container>) -> futures::future::BoxFuture<'static, Result<i32>> {
    async move { Ok(container.await_end().await.code) }.boxed()
}
