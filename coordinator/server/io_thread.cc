#include "coordinator/server/io_thread.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "base/scheduling.h"

namespace holdfast::server {

IoThread::IoThread(net::Loop& engine_loop, const RpcPortOptions& options,
                   std::span<const RpcMethod> methods, std::function<void(IoCalls&)> receive)
    : loop_(engine_loop.clock()),
      port_(loop_, options, methods),
      calls_(loop_, engine_loop, [this](IoCalls& batch) { take_batch(batch); }),
      answers_(engine_loop, loop_, [this](IoAnswers& batch) { this->receive(batch); }),
      max_output_bytes_(options.frames.max_output_bytes),
      receive_(std::move(receive)),
      gap_hook_(loop_.on_gap([this](Duration gap) { note_pause(gap); })),
      turn_hook_(loop_.on_turn_end(0, [this] { end_turn(); })),
      thread_([this, tag = options.tag] { run(tag); }) {}

IoThread::~IoThread() {
  if (!last_sent_) loop_.stop();
  thread_.join();
}

void IoThread::flush() {
  const bool last = outbox().last;
  if (outbox().empty() || !answers_.send()) return;
  last_sent_ = last_sent_ || last;
  waiting_.clear();
}

void IoThread::take_batch(IoCalls& batch) {
  for (const IoCalls::Call& call : batch.calls.items()) {
    if (call.id.slot >= connections_.size()) connections_.resize(call.id.slot + 1);
    connections_[call.id.slot] = call.connection;
  }
  receive_(batch);
}

// Small answers are bounded by the calls of a connection.
bool IoThread::has_room(CallId call, size_t bytes) {
  if (bytes <= kItemBytesKept) return true;
  size_t& waiting = waiting_[connections_.at(call.slot)];
  waiting += bytes;
  return waiting <= max_output_bytes_;
}

// For the counts: nobody is told.
api::HoldfastError IoThread::no_room() {
  api::HoldfastError error;
  error.code = api::ErrorCode::OVERLOADED;
  return error;
}

// ------------------------------------------------------------------------------ the I/O thread

void IoThread::run(uint32_t tag) {
  name_this_thread("io-" + std::to_string(tag));
  loop_.run();
}

RpcArguments& IoThread::arguments_for(const RpcMethod&) {
  return calls_.open().calls.next().arguments;
}

void IoThread::take(const RpcMethod& method, CallId call, size_t frame_bytes) {
  IoCalls& batch = calls_.open();
  IoCalls::Call& taken = batch.calls.add();
  taken.id = call;
  taken.connection = port_.connection_of(call);
  taken.method = &method;
  taken.frame_bytes = frame_bytes;
  batch.frame_bytes += frame_bytes;
  bound_the_turn(batch);
}

void IoThread::refuse_overloaded(CallId call, const std::string& why) {
  IoCalls& batch = calls_.open();
  IoCalls::Call& taken = batch.calls.add();
  taken.id = call;
  taken.connection = port_.connection_of(call);
  taken.method = nullptr;
  taken.why = why;
  bound_the_turn(batch);
}

void IoThread::bound_the_turn(const IoCalls& batch) {
  if (batch.calls.size() >= kCallsATurn || batch.frame_bytes >= kBytesATurn) loop_.end_reading();
}

void IoThread::receive(IoAnswers& batch) {
  for (IoAnswers::Answer& answer : batch.answers.items()) send(answer);
  batch.answers.clear();
  for (net::Socket& socket : batch.sockets) port_.adopt(std::move(socket));
  adopted_ += batch.sockets.size();
  batch.sockets.clear();
  report_until_ = std::max(report_until_, std::exchange(batch.report_until, Instant{}));
  if (std::exchange(batch.serve, false)) {
    serving_ = true;
    port_.serve(*this);
  }
  if (batch.last) {
    port_.close_all_after_flush();
    loop_.stop();
  }
}

void IoThread::send(IoAnswers::Answer& answer) {
  const uint64_t before = port_.bytes_sent();
  if (answer.cut_off) port_.cut_off(answer.id);
  std::visit(
      [&](const auto& value) {
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, api::HoldfastError>) {
          port_.fail(answer.id, value);
        } else {
          port_.complete(answer.id, &value);
        }
      },
      answer.value);
  // An answer whose connection is gone was not encoded: its size is not known.
  const uint64_t bytes = port_.bytes_sent() - before;
  if (bytes == 0 || bytes > kItemBytesKept) answer.value = api::HoldfastError();
}

void IoThread::note_pause(Duration gap) {
  calls_.open().pauses.push_back({loop_.now() - gap, loop_.now()});
}

bool IoThread::report_owed() const {
  return report_until_ != Instant{} && handled_until_ >= report_until_;
}

bool IoThread::has_news(const IoCalls& batch) const {
  return report_owed() || handled_of_ != reported_of_ || !batch.calls.empty() ||
         !batch.abandoned.empty() || !batch.pauses.empty();
}

// A turn that was woken out of its sleep polled before it slept: a report that is owed comes with
// the next turn, which does not sleep.
void IoThread::end_turn() {
  if (serving_ && !loop_.input_left()) {
    handled_until_ = loop_.polled_at();
    handled_of_ = adopted_;
  } else if (serving_ && loop_.handled_until() > handled_until_) {
    handled_until_ = loop_.handled_until();
    handled_of_ = adopted_before_;
  }
  adopted_before_ = adopted_;
  if (report_until_ != Instant{}) loop_.ask_handled_until(report_until_);
  IoCalls& batch = calls_.open();
  bool sent = true;
  if (has_news(batch)) {
    batch.handled_until = handled_until_;
    batch.adopted = handled_of_;
    if (report_owed()) {
      batch.reported = true;
      batch.connections = port_.connections();
      batch.stats = port_.stats();
    }
    sent = calls_.send();
    if (sent) reported_of_ = handled_of_;
    if (sent && handled_until_ >= report_until_) report_until_ = Instant{};
  }
  loop_.hold_input(!sent);
  if (sent && serving_ && report_until_ != Instant{}) loop_.again();
}

}  // namespace holdfast::server
