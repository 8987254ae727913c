// One of the threads of --io_threads: it owns its connections wholly, from their sockets to
// Thrift's structs, on a loop of its own. Decoded calls leave for the engine's thread as one batch
// a turn, answers come back as one batch of each turn there; neither side ever waits for the other
// with a lock in hand.
//
// Bounds. A turn reads until it has kCallsATurn calls or kBytesATurn of frames (at most one read
// buffer more), and a few such batches may be on their way. When the engine has not taken them,
// this thread stops reading its sockets until it has: TCP tells the clients. Answers are bounded in
// number by the calls that are outstanding, so they always find room; and in bytes by the bound of
// a connection's output, in each of the few batches that may be on their way. A connection whose
// answers are more is cut off, as one whose answers wait behind its socket is.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/net/channel.h"
#include "base/net/loop.h"
#include "coordinator/server/answer_bytes.h"
#include "coordinator/server/io_batch.h"
#include "coordinator/server/rpc_port.h"

namespace holdfast::server {

class IoThread final : CallTaker {
 public:
  static constexpr size_t kCallsATurn = 512;
  static constexpr size_t kBytesATurn = 1 << 20;
  /// So many answers are sent on before the engine's turn ends.
  static constexpr size_t kAnswersAtOnce = 1'024;

  /// `receive` is called on the thread of `engine_loop`, on which this is destroyed. options.tag is
  /// this thread's own.
  IoThread(net::Loop& engine_loop, const RpcPortOptions& options,
           std::span<const RpcMethod> methods, std::function<void(IoCalls&)> receive);
  /// Ends the thread: at once, or after the `last` batch if that was sent.
  ~IoThread();
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  // The engine's thread.
  /// What goes to the I/O thread with the next flush().
  IoAnswers& outbox() { return answers_.open(); }
  template <class Value>
  void answer(CallId call, const Value& value);
  /// At the end of a turn. What finds no room is kept, and the loop turns again when there is some.
  void flush();
  bool last_sent() const { return last_sent_; }
  /// Of an outstanding call, in this thread's port.
  uint32_t connection_of(CallId call) const { return connections_.at(call.slot); }

 private:
  // CallTaker, on the I/O thread like all that follows.
  RpcArguments& arguments_for(const RpcMethod& method) override;
  void take(const RpcMethod& method, CallId call, size_t frame_bytes) override;
  void refuse_overloaded(CallId call, const std::string& why) override;
  void abandon(CallId call) override { calls_.open().abandoned.push_back(call); }

  // The engine's thread.
  void take_batch(IoCalls& batch);
  bool has_room(CallId call, size_t bytes);
  static api::HoldfastError no_room();

  void run(uint32_t tag);
  void receive(IoAnswers& batch);
  void send(IoAnswers::Answer& answer);
  void bound_the_turn(const IoCalls& batch);
  void note_pause(Duration gap);
  void end_turn();
  bool report_owed() const;
  bool has_news(const IoCalls& batch) const;

  net::Loop loop_;
  RpcPort port_;
  net::Channel<IoCalls> calls_;
  net::Channel<IoAnswers> answers_;

  // The engine's thread.
  const size_t max_output_bytes_;
  const std::function<void(IoCalls&)> receive_;
  bool last_sent_ = false;
  std::vector<uint32_t> connections_;             ///< of the calls outstanding, by slot
  std::unordered_map<uint32_t, size_t> waiting_;  ///< bytes in the open batch, by connection

  // The I/O thread.
  bool serving_ = false;
  uint64_t adopted_ = 0;
  uint64_t adopted_before_ = 0;  ///< this turn
  Instant handled_until_;     ///< what had arrived by then is in the open batch or an earlier one
  uint64_t handled_of_ = 0;   ///< on so many adopted connections
  uint64_t reported_of_ = 0;  ///< as the engine's thread knows it
  Instant report_until_;      ///< a batch is owed once handled_until_ reaches this; Instant{}: none
  net::Loop::Hook gap_hook_;
  net::Loop::Hook turn_hook_;
  std::thread thread_;  ///< last: it runs on all of the above
};

template <class Value>
void IoThread::answer(CallId call, const Value& value) {
  IoAnswers::Answer& answer = outbox().answers.add();
  answer.id = call;
  answer.cut_off = !has_room(call, answer_bytes(value));
  if (answer.cut_off) {
    answer.value = no_room();
  } else {
    answer.value = value;
  }
  if (outbox().answers.size() % kAnswersAtOnce == 0) flush();
}

}  // namespace holdfast::server
