// A TCP connection that carries frames: a 4-byte big-endian length, then that many bytes (Thrift's
// framed transport). The same class serves clients, peers and the client library, accepted and
// dialled alike.
//
// Reading: all ready bytes are read into the loop's buffer and complete frames are handed over in
// place; only the piece of an unfinished frame is copied, into memory that grows with what has
// really arrived. A length above the limit ends the connection before anything is allocated for it.
// Writing: frames gather in one buffer that leaves with one send() at the end of the turn.
// An idle connection holds no buffers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/net/address.h"
#include "base/net/fd_event.h"
#include "base/net/loop.h"
#include "base/net/socket.h"
#include "base/net/timer.h"

namespace holdfast::net {

struct FrameOptions {
  /// Larger incoming frames end the connection (kFrameTooLarge).
  uint32_t max_frame_bytes = 8 << 20;
  /// What it sends leaves before that of the others, which may be many, and what it receives is
  /// read in each turn, however much they send.
  bool goes_first = false;
  /// Read at once at most. Within that nobody looks how long it takes (Loop's read budget), and it
  /// may be thousands of small frames. A frame that is larger is read on as a whole.
  size_t max_read_bytes = SIZE_MAX;
  /// Unsent output beyond this ends the connection (kOutputOverflow): the other side does not read.
  /// That is seen at the end of a turn; within one no more frames are taken beyond twice as much.
  size_t max_output_bytes = 16 << 20;
  /// Such output does not end it, but nothing is read until half of it has left: TCP tells the
  /// other side to send no faster than it reads. What is not read holds up nobody
  /// (Loop::handled_until), and may be a renewal: if the other side takes nothing for held_timeout,
  /// or not enough within held_max, it is ended, and dials again. A pause of its owner does not
  /// count. Twice as much ends it nonetheless.
  bool waits_for_reader = false;
  Duration held_timeout = 1s;
  /// With what a renewal may have been under way already it is less than the smallest TTL.
  Duration held_max = 2s;
  /// Zero switches a timer off.
  Duration connect_timeout = 1s;
  Duration frame_timeout = 10s;  ///< from a frame's first byte to its last
  Duration write_timeout = 10s;  ///< output waits and the other side acknowledges nothing
  Duration idle_timeout{0};      ///< nothing received; see set_idle_timeout()
  Duration dead_after = 20s;     ///< TCP keepalive and user timeout: half-open connections
};

enum class CloseCause : uint8_t {
  kPeerClosed,      ///< orderly end (FIN), or reset by the other process's end
  kRefused,         ///< dialled and refused: nobody listens there (ECONNREFUSED)
  kConnectTimeout,  ///< dialled and unanswered
  kConnectFailed,   ///< unreachable, or the name does not resolve
  kFrameTooLarge,
  kFrameTimeout,  ///< slow sender
  kWriteTimeout,  ///< slow reader
  kOutputOverflow,
  kIdle,
  kIoError,
  kLocal,  ///< close_after_flush() is done
};

/// Why a connection ended; `error` names the other side, the value and the limit.
struct CloseReason {
  CloseCause cause;
  Error error;
};

class FrameConnection final : private InputSource {
 public:
  /// Receives what happens. Called on the loop's thread; may close or destroy the connection.
  class Handler {
   public:
    /// A dialled connection stands; frames sent before are on their way.
    virtual void on_connected(FrameConnection&) {}
    /// `payload` is valid during the call only.
    virtual void on_frame(FrameConnection&, std::string_view payload) = 0;
    /// At most once, and never after close(). The connection is closed already; it may be
    /// destroyed.
    virtual void on_closed(FrameConnection&, const CloseReason&) = 0;

   protected:
    ~Handler() = default;
  };

  /// An accepted socket. `handler` must outlive the connection.
  FrameConnection(Loop& loop, Socket socket, const FrameOptions& options, Handler& handler);
  /// Dials; the outcome comes as on_connected or on_closed, never from inside this call. Frames may
  /// be sent at once. Names are resolved on another thread, and each address they have is tried.
  static std::unique_ptr<FrameConnection> dial(Loop& loop, const Address& address,
                                               const FrameOptions& options, Handler& handler);
  ~FrameConnection();
  FrameConnection(const FrameConnection&) = delete;
  FrameConnection& operator=(const FrameConnection&) = delete;

  /// Queues one frame; it leaves at the end of the turn. Ignored once closed.
  void send(std::string_view payload);
  /// Queues one frame that `fill(std::string& out)` appends to `out`, without an extra copy. `fill`
  /// must not touch what is in `out` already.
  template <class Fill>
  void send_with(Fill&& fill) {
    static_cast<void>(send_up_to(SIZE_MAX, fill));
  }
  /// The same, but a frame of more than `bytes_max` is not queued, and leaves no trace. Returns its
  /// bytes; 0 once closed.
  template <class Fill>
  size_t send_up_to(size_t bytes_max, Fill&& fill) {
    if (closed() || overflows()) return 0;
    const size_t start = begin_frame();
    try {
      fill(output_);
    } catch (...) {
      drop_frame(start);
      throw;
    }
    const size_t bytes = frame_bytes(start);
    if (bytes > bytes_max) {
      drop_frame(start);
    } else {
      end_frame(start);
    }
    return bytes;
  }
  /// Bytes queued and not yet taken by the kernel.
  size_t output_bytes() const { return output_.size() - output_sent_; }

  /// Ends it now, without a callback; unsent output is lost.
  void close();
  /// Reads no more, sends what is queued, then closes (on_closed with kLocal). While still dialling
  /// it is close().
  void close_after_flush();
  bool closed() const { return state_ == State::kClosed; }
  bool connected() const { return state_ == State::kOpen; }

  /// Back-pressure: while paused nothing is read; frames already read wait until resume_reading().
  void pause_reading();
  void resume_reading();
  /// Counts from now on; zero switches it off (e.g. while a call is parked).
  void set_idle_timeout(Duration timeout);

  /// Applies to frames whose length has not been read yet: strangers may send less than peers.
  void set_max_frame_bytes(uint32_t limit) { options_.max_frame_bytes = limit; }

  const Address& peer() const { return peer_; }
  Instant last_received() const { return last_received_; }
  Loop& loop() { return loop_; }
  /// Free for the owner.
  void* user = nullptr;

 private:
  friend class Loop;
  enum class State : uint8_t { kConnecting, kOpen, kFlushing, kClosed };
  class Alive;

  FrameConnection(Loop& loop, const Address& address, const FrameOptions& options,
                  Handler& handler);
  // Dialling: frame_dial.cc.
  void start_connecting();
  void look_up();
  void looked_up(Result<std::vector<Endpoint>> endpoints);
  void try_next_endpoint();
  void finish_connect();
  void connect_failed(int error);
  void opened();

  // Reading. Those that return bool say whether the connection is still there and open.
  void start_reading();
  void stop_reading();
  void read_on();
  size_t room_to_read() const;
  bool reads() const { return !paused_ && !backed_up_; }
  size_t large_frame_bytes() const;
  void hold_back();
  uint64_t input_waiting() const override;
  void on_readable();
  bool read_once(bool* more);
  bool read_into_loop_buffer(bool* more);
  bool read_rest_of_large_frame(bool* more);
  bool handle_bytes(std::string_view bytes);
  bool deliver(std::string_view payload);
  void keep_partial(std::string_view rest, bool new_frame);
  void note_received(long bytes);
  void read_failed(long result);
  size_t frame_bytes_in_progress() const;
  void run_deferred();

  // Writing.
  bool overflows();
  size_t begin_frame();
  size_t frame_bytes(size_t start) const;
  void drop_frame(size_t start);
  void end_frame(size_t start);
  void mark_dirty();
  void on_writable();
  void flush();
  bool send_some();
  void note_acknowledged();
  void release_output();

  // Timers and the end.
  void check_timers();
  void arm_timer();
  Instant next_deadline() const;
  void fail(CloseCause cause, ErrorCode code, const std::string& what);
  void shut();

  Loop& loop_;
  Handler* handler_;
  FrameOptions options_;
  Address peer_;
  Socket socket_;
  FdEvent read_event_;
  FdEvent write_event_;
  Timer timer_;
  State state_;
  bool paused_ = false;
  bool backed_up_ = false;     ///< its output waits for the reader, and its input for that
  bool dirty_ = false;         ///< in the loop's list of connections to flush
  bool overflown_ = false;     ///< a frame was not taken: it ends at the end of the turn
  bool deferred_ = false;      ///< in the loop's list of connections with work for the next turn
  bool first_ = false;         ///< in the loop's list of connections that are read in each turn
  bool* destroyed_ = nullptr;  ///< set while a callback runs, to learn of its own destruction

  /// The received piece of an unfinished frame, length included; while nothing is read, and until
  /// they are handled after that, whole frames too.
  std::string input_;
  std::string output_;
  size_t output_sent_ = 0;
  Instant last_received_;
  Instant frame_started_;  ///< of the frame in input_
  Instant backed_up_since_;
  Instant write_progress_;     ///< when output last moved, or began to wait
  uint64_t sent_ = 0;          ///< taken by the kernel, of all output ever
  uint64_t acknowledged_ = 0;  ///< of that, as was last seen, by the other side
  Instant connect_started_;
  std::vector<Endpoint> endpoints_;           ///< still to be tried, last first
  std::shared_ptr<FrameConnection*> lookup_;  ///< for the look-up's answer; null once gone
};

}  // namespace holdfast::net
