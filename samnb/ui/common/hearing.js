// Messages of the kernel reach a widget, however long the page took to load its script.
//
// anywidget (0.9.14 to 0.11) gives up on a model whose script is not there two seconds after the model, as in a busy
// browser: it is shown later all the same, but every message to it ends in an error. Then they are taken without anywidget.
function initialize({ model }) {
  hear(model).catch((error) => console.error("samnb: messages of the kernel may not arrive", error));
}

async function hear(proxy) {
  const model = await proxy.widget_manager.get_model(proxy.get("own_id")), { comm } = model;
  try {
    // A message that means nothing: is it passed on?
    return await model._handle_comm_msg({ content: { data: {} } });
  } catch {
    if (!comm) return; // a page without a kernel
  }
  comm.on_msg(Object.getPrototypeOf(Object.getPrototypeOf(model))._handle_comm_msg.bind(model));
  // nbclassic passes nothing on to a comm after a message that failed.
  comm.kernel?.comm_manager?.register_comm(comm);
  comm.send({ method: "request_state" }, model.callbacks()); // with what was lost
}
