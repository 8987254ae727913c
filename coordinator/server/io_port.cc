#include "coordinator/server/io_port.h"

#include <algorithm>
#include <utility>

#include "coordinator/server/engine.h"
#include "coordinator/server/unformed_calls.h"

namespace holdfast::server {

namespace {

/// After the engine's own end of a turn: its answers leave in the turn that brought them forth.
constexpr int kHookOrder = 1;
/// A thread is asked for its counts, which are its own, so that those known here are no older.
constexpr Duration kCountsEvery = 1s;

}  // namespace

Result<std::unique_ptr<IoPort>> IoPort::open(net::Loop& loop, const RpcPortOptions& options,
                                             std::span<const RpcMethod> methods, size_t threads) {
  net::ListenerOptions listening;
  listening.max_connections = options.max_connections;
  listening.descriptors_kept = options.descriptors_kept;
  std::unique_ptr<IoPort> port(new IoPort(loop, options, methods, threads));
  auto listener = net::Listener::open(
      loop, options.address,
      [raw = port.get()](net::Socket socket, const net::Address&) {
        raw->hand_over(std::move(socket));
      },
      listening);
  if (!listener.ok()) return listener.error();
  port->listener_ = std::move(*listener);
  port->port_ = port->listener_->port();
  return port;
}

IoPort::IoPort(net::Loop& loop, const RpcPortOptions& options, std::span<const RpcMethod> methods,
               size_t threads)
    : loop_(loop), options_(options), workers_(threads), counts_timer_(loop, [this] {
        for (Worker& worker : workers_) ask(worker);
      }) {
  for (size_t i = 0; i < threads; ++i) {
    RpcPortOptions own = options;
    own.tag += static_cast<uint32_t>(i);
    Worker& worker = workers_[i];
    worker.stats.methods.resize(methods.size());
    worker.thread = std::make_unique<IoThread>(
        loop, own, methods, [this, &worker](IoCalls& batch) { receive(worker, batch); });
  }
  // The server tells the engine of this loop's gaps.
  gap_hook_ = loop.on_gap([this](Duration) { paused_until_ = loop_.now(); });
  turn_hook_ = loop.on_turn_end(kHookOrder, [this] { end_turn(); });
}

IoPort::~IoPort() = default;

void IoPort::serve_unformed(UnformedCalls& calls) {
  unformed_ = &calls;
  begin_serving();
}

void IoPort::serve(Engine& engine) {
  engine_ = &engine;
  begin_serving();
}

void IoPort::begin_serving() {
  for (Worker& worker : workers_) worker.thread->outbox().serve = true;
  counts_timer_.arm_every(kCountsEvery);
}

void IoPort::hand_over(net::Socket socket) {
  Worker& worker = workers_[next_worker_];
  next_worker_ = (next_worker_ + 1) % workers_.size();
  worker.thread->outbox().sockets.push_back(std::move(socket));
  ++worker.handed;
  if (worker.hand_overs.empty() || worker.hand_overs.back().since != nothing_waited_) {
    worker.hand_overs.push_back({worker.handed, nothing_waited_});
  } else {
    worker.hand_overs.back().last = worker.handed;
  }
}

void IoPort::receive(Worker& worker, IoCalls& batch) {
  for (const IoCalls::Pause& pause : batch.pauses) count_pause(pause);
  batch.pauses.clear();
  for (IoCalls::Call& call : batch.calls.items()) {
    take(call);
    if (call.frame_bytes > kItemBytesKept) call.arguments = RpcArguments();
  }
  batch.calls.clear();
  for (const CallId call : batch.abandoned) {
    if (engine_ != nullptr) engine_->abandon(call);
  }
  batch.abandoned.clear();
  batch.frame_bytes = 0;
  worker.handled_until = batch.handled_until;
  while (!worker.hand_overs.empty() && worker.hand_overs.front().last <= batch.adopted) {
    worker.hand_overs.pop_front();
  }
  if (!std::exchange(batch.reported, false)) return;
  worker.connections = batch.connections;
  std::swap(worker.stats, batch.stats);
}

void IoPort::take(IoCalls::Call& call) {
  if (engine_ == nullptr) return unformed_->refuse(call.id);
  if (call.method == nullptr) return engine_->refuse_overloaded(call.id, call.why);
  call.method->invoke(call.arguments, *engine_, call.id);
}

// A stopped process stops all its threads, and each tells of the same time: it moves the deadlines
// once.
void IoPort::count_pause(const IoCalls::Pause& pause) {
  const Instant from = std::max(pause.from, paused_until_);
  if (engine_ == nullptr || from >= pause.until) return;
  paused_until_ = pause.until;
  engine_->on_input_gap(pause.until - from);
}

void IoPort::end_turn() {
  nothing_waited_ = std::max(nothing_waited_, loop_.handled_until());
  const bool done = closing_done();
  for (Worker& worker : workers_) worker.thread->flush();
  if (closing_done() != done) loop_.again();  // for whoever waits for that
}

void IoPort::close_all_after_flush() {
  for (Worker& worker : workers_) {
    worker.thread->outbox().last = true;
    worker.thread->flush();
  }
}

bool IoPort::closing_done() const {
  return std::all_of(workers_.begin(), workers_.end(),
                     [](const Worker& worker) { return worker.thread->last_sent(); });
}

// A connection that waited at this turn's poll has been accepted in it, unless input is left.
Instant IoPort::handled_until() const { return std::min(loop_.polled_at(), handled_by_threads()); }

Instant IoPort::handled_by_threads() const {
  Instant least = Instant::max();
  for (const Worker& worker : workers_) {
    least = std::min(least, worker.handled_until);
    if (!worker.hand_overs.empty()) least = std::min(least, worker.hand_overs.front().since);
  }
  return least;
}

// A thread is asked about the present, so that one answer serves for all moments up to it: asking
// for a later one each turn would put its answer off each time.
void IoPort::ask_handled_until(Instant moment) {
  if (handled_by_threads() >= moment) return loop_.again();
  for (Worker& worker : workers_) {
    if (std::max(worker.handled_until, worker.asked) >= moment) continue;
    ask(worker);
  }
}

void IoPort::ask(Worker& worker) {
  worker.asked = loop_.now();
  worker.thread->outbox().report_until = worker.asked;
}

size_t IoPort::connections() const {
  size_t sum = 0;
  for (const Worker& worker : workers_) sum += worker.connections;
  return sum;
}

RpcPortStats IoPort::stats() const {
  RpcPortStats sum = workers_.front().stats;
  for (const Worker& worker : std::span(workers_).subspan(1)) sum += worker.stats;
  if (listener_ != nullptr) sum.connections_refused = listener_->refused();
  return sum;
}

void IoPort::complete(CallId call, const ReplyView& reply) {
  IoThread& thread = *worker_of(call).thread;
  std::visit([&](const auto* value) { thread.answer(call, *value); }, reply);
}

void IoPort::fail(CallId call, const api::HoldfastError& error) {
  worker_of(call).thread->answer(call, error);
}

uint64_t IoPort::client_of(CallId call) const {
  return uint64_t{call.port} << 32 | worker_of(call).thread->connection_of(call);
}

}  // namespace holdfast::server
