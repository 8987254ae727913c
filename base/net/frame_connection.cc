#include "base/net/frame_connection.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "base/check.h"

namespace holdfast::net {

namespace {

constexpr size_t kLengthBytes = 4;
/// A frame longer than this is gathered in the connection's own memory, shorter ones in the loop's.
constexpr size_t kLargeFrameBytes = 64 << 10;
/// A connection's output that moved on is compacted when this much of it lies behind.
constexpr size_t kCompactBytes = 256 << 10;

uint32_t load_length(const char* at) {
  uint32_t value = 0;
  std::memcpy(&value, at, sizeof value);
  return ntohl(value);
}

std::string count_of(size_t bytes) { return std::to_string(bytes) + " bytes"; }
std::string ms_of(Duration d) { return std::to_string(to_ms(d)) + " ms"; }

}  // namespace

/// While one lives, its connection's destruction is noticed.
class FrameConnection::Alive {
 public:
  explicit Alive(FrameConnection& connection)
      : connection_(connection), outer_(connection.destroyed_) {
    connection.destroyed_ = &destroyed_;
  }
  ~Alive() {
    if (!destroyed_) {
      connection_.destroyed_ = outer_;
    } else if (outer_ != nullptr) {
      *outer_ = true;
    }
  }
  explicit operator bool() const { return !destroyed_; }

 private:
  FrameConnection& connection_;
  bool* outer_;
  bool destroyed_ = false;
};

FrameConnection::FrameConnection(Loop& loop, Socket socket, const FrameOptions& options,
                                 Handler& handler)
    : InputSource(loop.mark_),
      loop_(loop),
      handler_(&handler),
      options_(options),
      peer_(peer_address(socket.fd())),
      socket_(std::move(socket)),
      read_event_(
          loop, [](void* self) { static_cast<FrameConnection*>(self)->on_readable(); }, this),
      write_event_(
          loop, [](void* self) { static_cast<FrameConnection*>(self)->on_writable(); }, this),
      timer_(loop, [this] { check_timers(); }),
      state_(State::kOpen),
      last_received_(loop.now()) {
  set_tcp_options(socket_.fd(), options_.dead_after);
  start_reading();
  input_begins();
  arm_timer();
}

FrameConnection::~FrameConnection() {
  shut();
  if (destroyed_ != nullptr) *destroyed_ = true;
}

// ---- reading

void FrameConnection::start_reading() {
  read_event_.enable(socket_.fd(), FdEvent::Interest::kRead);
  loop_.expect_input();  // what has come already is read in the next turn
  if (options_.goes_first && !first_) loop_.add_first(this);
  first_ = options_.goes_first;
}

void FrameConnection::stop_reading() {
  read_event_.disable();
  input_ends();
  if (std::exchange(first_, false)) loop_.forget_first(this);
}

// What came meanwhile is not late: nobody looked. Frames that wait here come before what waits in
// the socket, which is read once they are handled.
void FrameConnection::read_on() {
  frame_started_ = last_received_ = loop_.now();
  arm_timer();
  if (input_.empty()) return start_reading();
  loop_.expect_input();
  if (std::exchange(deferred_, true)) return;
  loop_.defer(this);
}

void FrameConnection::hold_back() {
  if (backed_up_ || !options_.waits_for_reader || state_ != State::kOpen) return;
  if (output_bytes() <= options_.max_output_bytes) return;
  backed_up_ = true;
  backed_up_since_ = write_progress_ = loop_.now();
  note_acknowledged();
  stop_reading();
  arm_timer();
}

// Frames that were read before it was held back and wait for their turn have come, too.
uint64_t FrameConnection::input_waiting() const {
  int bytes = 0;
  if (state_ != State::kOpen || !reads() || ioctl(socket_.fd(), FIONREAD, &bytes) != 0) return 0;
  return static_cast<uint64_t>(std::max(0, bytes)) + (deferred_ ? input_.size() : 0);
}

void FrameConnection::on_readable() {
  bool more = true;
  while (more && reads()) {
    if (!read_once(&more)) return;
    if (loop_.budget_spent()) return;
  }
}

bool FrameConnection::read_once(bool* more) {
  ++loop_.stats_.receives;
  return frame_bytes_in_progress() > large_frame_bytes() ? read_rest_of_large_frame(more)
                                                         : read_into_loop_buffer(more);
}

size_t FrameConnection::frame_bytes_in_progress() const {
  return input_.size() < kLengthBytes ? 0 : kLengthBytes + load_length(input_.data());
}

// A piece of one that is gathered in the loop's buffer leaves room there for the rest of it.
size_t FrameConnection::large_frame_bytes() const {
  return std::min(kLargeFrameBytes, loop_.read_buffer_bytes());
}

size_t FrameConnection::room_to_read() const {
  const size_t have = input_.size();
  const size_t whole = frame_bytes_in_progress();
  HF_CHECK(have < loop_.read_buffer_bytes(), "frames that are not handled are not read on to");
  const size_t wanted = std::max(options_.max_read_bytes, whole - std::min(whole, have));
  return std::min(wanted, loop_.read_buffer_bytes() - have);
}

bool FrameConnection::read_into_loop_buffer(bool* more) {
  char* const buffer = loop_.read_buffer();
  const size_t have = input_.size();
  const size_t room = room_to_read();
  const ssize_t got = recv(socket_.fd(), buffer + have, room, 0);
  *more = got == static_cast<ssize_t>(room);
  if (got <= 0) {
    read_failed(got);
    return false;
  }
  note_received(got);
  std::memcpy(buffer, input_.data(), have);
  return handle_bytes({buffer, have + static_cast<size_t>(got)});
}

bool FrameConnection::read_rest_of_large_frame(bool* more) {
  const size_t whole = frame_bytes_in_progress();
  const size_t have = input_.size();
  HF_CHECK(have < whole, "frames that are not handled are not read on to");
  // Memory grows with what arrived, not with what was announced.
  const size_t room = std::min(whole - have, std::max(have, kLargeFrameBytes));
  input_.resize(have + room);
  const ssize_t got = recv(socket_.fd(), input_.data() + have, room, 0);
  *more = got == static_cast<ssize_t>(room);
  input_.resize(have + static_cast<size_t>(std::max<ssize_t>(got, 0)));
  if (got <= 0) {
    read_failed(got);
    return false;
  }
  note_received(got);
  if (input_.size() < whole) return true;
  const std::string frame = std::exchange(input_, {});
  return handle_bytes(frame);
}

void FrameConnection::note_received(long bytes) {
  last_received_ = loop_.now();
  loop_.stats_.bytes_received += static_cast<uint64_t>(bytes);
  input_taken(static_cast<uint64_t>(bytes));
}

bool FrameConnection::handle_bytes(std::string_view bytes) {
  bool new_frame = input_.empty();
  while (bytes.size() >= kLengthBytes && reads()) {
    const uint32_t length = load_length(bytes.data());
    if (length > options_.max_frame_bytes) {
      fail(CloseCause::kFrameTooLarge, ErrorCode::kTooLarge,
           "sent a frame of " + count_of(length) + ", the limit is " +
               count_of(options_.max_frame_bytes));
      return false;
    }
    if (bytes.size() - kLengthBytes < length) break;
    if (!deliver(bytes.substr(kLengthBytes, length))) return false;
    hold_back();
    bytes.remove_prefix(kLengthBytes + length);
    new_frame = true;
  }
  keep_partial(bytes, new_frame);
  return true;
}

bool FrameConnection::deliver(std::string_view payload) {
  const Alive alive(*this);
  handler_->on_frame(*this, payload);
  return alive && state_ == State::kOpen;
}

void FrameConnection::keep_partial(std::string_view rest, bool new_frame) {
  if (rest.empty()) {
    if (!input_.empty()) std::string().swap(input_);
    return;
  }
  input_.assign(rest);
  if (new_frame) frame_started_ = loop_.now();
  arm_timer();
}

void FrameConnection::read_failed(long result) {
  if (result < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (result < 0 && errno != ECONNRESET) {
    fail(CloseCause::kIoError, ErrorCode::kTimeout, std::string("failed: ") + strerror(errno));
    return;
  }
  std::string what = result == 0 ? "closed the connection" : "reset the connection";
  if (!input_.empty()) what += " within a frame, after " + count_of(input_.size()) + " of it";
  fail(CloseCause::kPeerClosed, ErrorCode::kTimeout, what);
}

void FrameConnection::pause_reading() {
  if (closed() || paused_) return;
  paused_ = true;
  stop_reading();
}

void FrameConnection::resume_reading() {
  if (closed() || !paused_) return;
  paused_ = false;
  if (backed_up_) {
    backed_up_since_ = write_progress_ = loop_.now();
    arm_timer();
  }
  if (state_ != State::kOpen || !reads()) return;
  read_on();
  input_begins();
}

void FrameConnection::run_deferred() {
  deferred_ = false;
  if (state_ == State::kConnecting) {
    start_connecting();
  } else if (state_ == State::kOpen && reads()) {
    last_received_ = loop_.now();
    arm_timer();
    const std::string bytes = std::exchange(input_, {});
    input_taken(bytes.size());
    if (handle_bytes(bytes) && reads()) start_reading();
  }
}

// ---- writing

void FrameConnection::send(std::string_view payload) {
  send_with([payload](std::string& out) { out.append(payload); });
}

// Answers to many calls may come in one turn: without this the memory of all would be taken before
// the first is sent. Whoever misses a frame is ended.
bool FrameConnection::overflows() {
  if (!overflown_ && output_bytes() > 2 * options_.max_output_bytes) {
    overflown_ = true;
    mark_dirty();
  }
  return overflown_;
}

size_t FrameConnection::begin_frame() {
  if (output_.empty()) output_ = loop_.take_buffer();
  const size_t start = output_.size();
  output_.append(kLengthBytes, '\0');
  return start;
}

size_t FrameConnection::frame_bytes(size_t start) const {
  return output_.size() - start - kLengthBytes;
}

// The first one took a buffer that nobody would give back: nothing is sent for it.
void FrameConnection::drop_frame(size_t start) {
  output_.resize(start);
  if (start == 0) release_output();
}

void FrameConnection::end_frame(size_t start) {
  const size_t length = frame_bytes(start);
  HF_CHECK(length <= INT_MAX, "a frame's length does not fit its field");
  const uint32_t field = htonl(static_cast<uint32_t>(length));
  std::memcpy(output_.data() + start, &field, sizeof field);
  // While the kernel takes nothing, only a full buffer needs looking at.
  if (!write_event_.enabled() || output_bytes() > options_.max_output_bytes) mark_dirty();
}

void FrameConnection::mark_dirty() {
  if (dirty_) return;
  dirty_ = true;
  loop_.mark_dirty(this, options_.goes_first);
}

// The hooks of this turn have run: what a handler does when it is told of the end here is theirs to
// close in another turn, and nothing else might wake the loop for that.
void FrameConnection::flush() {
  Loop& loop = loop_;  // a handler may destroy this
  dirty_ = false;
  if (state_ == State::kClosed) return;
  if (!overflown_ && state_ != State::kConnecting && !write_event_.enabled() && !send_some()) {
    return loop.again();
  }
  const bool waits = options_.waits_for_reader && !overflown_;
  if (waits || output_bytes() <= options_.max_output_bytes) return hold_back();
  loop.again();
  const size_t limit = options_.max_output_bytes * (options_.waits_for_reader ? 2 : 1);
  fail(CloseCause::kOutputOverflow, ErrorCode::kOverloaded,
       "does not read: " + count_of(output_bytes()) + " wait, the limit is " + count_of(limit));
}

// It goes on at the end of the turn, where what is sent has a bound: very many may have waited for
// room to send much.
void FrameConnection::on_writable() {
  if (state_ == State::kConnecting) return finish_connect();
  write_event_.disable();
  mark_dirty();
}

bool FrameConnection::send_some() {
  const size_t waiting = output_bytes();
  if (waiting > 0) {
    ++loop_.stats_.sends;
    const ssize_t sent = ::send(socket_.fd(), output_.data() + output_sent_, waiting, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
      fail(CloseCause::kPeerClosed, ErrorCode::kTimeout,
           std::string("takes nothing: ") + strerror(errno));
      return false;
    }
    if (sent > 0 || !write_event_.enabled()) write_progress_ = loop_.now();
    const auto taken = static_cast<size_t>(std::max<ssize_t>(sent, 0));
    output_sent_ += taken;
    sent_ += taken;
    loop_.stats_.bytes_sent += taken;
  }
  // What it sent meanwhile no mark waits for: it would owe anew each time.
  if (backed_up_ && output_bytes() <= options_.max_output_bytes / 2) {
    backed_up_ = false;
    if (state_ == State::kOpen && reads()) read_on();
  }
  if (output_bytes() > 0) {
    if (output_sent_ > kCompactBytes) output_.erase(0, std::exchange(output_sent_, 0));
    write_event_.enable(socket_.fd(), FdEvent::Interest::kWrite);
    arm_timer();
    return true;
  }
  write_event_.disable();
  release_output();
  if (state_ != State::kFlushing) return true;
  // Unread input would make the close a reset, which can overtake what was just sent.
  shutdown(socket_.fd(), SHUT_WR);
  while (recv(socket_.fd(), loop_.read_buffer(), loop_.read_buffer_bytes(), 0) ==
         static_cast<ssize_t>(loop_.read_buffer_bytes())) {
  }
  fail(CloseCause::kLocal, ErrorCode::kOk, "closed from this side");
  return false;
}

// What the kernel has taken may wait there for long, and only a third of that free makes the socket
// writable again: who reads slowly is seen by what it acknowledges.
void FrameConnection::note_acknowledged() {
  int unacknowledged = 0;
  if (ioctl(socket_.fd(), SIOCOUTQ, &unacknowledged) != 0) return;
  const uint64_t acknowledged = sent_ - std::min<uint64_t>(sent_, std::max(0, unacknowledged));
  if (acknowledged <= acknowledged_) return;
  acknowledged_ = acknowledged;
  write_progress_ = loop_.now();
}

void FrameConnection::release_output() {
  output_sent_ = 0;
  if (output_.capacity() > std::string().capacity()) loop_.give_buffer(std::exchange(output_, {}));
  output_.clear();
}

// ---- timers and the end

void FrameConnection::set_idle_timeout(Duration timeout) {
  options_.idle_timeout = timeout;
  last_received_ = loop_.now();
  if (!closed()) arm_timer();
}

Instant FrameConnection::next_deadline() const {
  Instant least = Instant::max();
  const auto consider = [&least](bool applies, Instant since, Duration limit) {
    if (applies && limit > Duration{0}) least = std::min(least, since + limit);
  };
  consider(state_ == State::kConnecting, connect_started_, options_.connect_timeout);
  consider(!input_.empty() && reads() && !deferred_, frame_started_, options_.frame_timeout);
  consider(state_ != State::kConnecting && write_event_.enabled(), write_progress_,
           options_.write_timeout);
  consider(backed_up_ && !paused_, write_progress_, options_.held_timeout);
  consider(backed_up_ && !paused_, backed_up_since_, options_.held_max);
  consider(state_ == State::kOpen && reads() && !deferred_, last_received_, options_.idle_timeout);
  return least;
}

void FrameConnection::arm_timer() {
  // Deadlines that move later, as nearly all do, cost nothing: the timer looks again when it fires.
  const Instant deadline = next_deadline();
  if (deadline == Instant::max()) return;
  if (!timer_.armed() || timer_.deadline() > deadline) timer_.arm(deadline);
}

void FrameConnection::check_timers() {
  const Instant now = loop_.now();
  if (write_event_.enabled()) note_acknowledged();
  const auto passed = [now](Instant since, Duration limit) {
    return limit > Duration{0} && now >= since + limit;
  };
  if (state_ == State::kConnecting && passed(connect_started_, options_.connect_timeout)) {
    fail(CloseCause::kConnectTimeout, ErrorCode::kTimeout,
         "did not answer within " + ms_of(options_.connect_timeout));
  } else if (!input_.empty() && reads() && !deferred_ &&
             passed(frame_started_, options_.frame_timeout)) {
    fail(CloseCause::kFrameTimeout, ErrorCode::kTimeout,
         "sent only " + count_of(input_.size()) + " of a frame within " +
             ms_of(options_.frame_timeout));
  } else if (state_ != State::kConnecting && write_event_.enabled() &&
             passed(write_progress_, options_.write_timeout)) {
    fail(CloseCause::kWriteTimeout, ErrorCode::kTimeout,
         "took nothing of " + count_of(output_bytes()) + " for " + ms_of(options_.write_timeout));
  } else if (backed_up_ && !paused_ && passed(write_progress_, options_.held_timeout)) {
    fail(CloseCause::kOutputOverflow, ErrorCode::kOverloaded,
         "does not read: " + count_of(output_bytes()) + " wait, and it took nothing for " +
             ms_of(options_.held_timeout));
  } else if (backed_up_ && !paused_ && passed(backed_up_since_, options_.held_max)) {
    fail(CloseCause::kOutputOverflow, ErrorCode::kOverloaded,
         "reads slowly: " + count_of(output_bytes()) + " wait, " +
             count_of(options_.max_output_bytes / 2) + " may after " + ms_of(options_.held_max));
  } else if (state_ == State::kOpen && reads() && !deferred_ &&
             passed(last_received_, options_.idle_timeout)) {
    fail(CloseCause::kIdle, ErrorCode::kTimeout,
         "sent nothing for " + ms_of(options_.idle_timeout));
  } else {
    arm_timer();
  }
}

void FrameConnection::close() { shut(); }

void FrameConnection::close_after_flush() {
  if (state_ == State::kConnecting) shut();
  if (state_ != State::kOpen) return;
  state_ = State::kFlushing;
  stop_reading();
  std::string().swap(input_);
  if (!write_event_.enabled()) mark_dirty();
}

void FrameConnection::fail(CloseCause cause, ErrorCode code, const std::string& what) {
  shut();
  const CloseReason reason{cause, Error{code, to_string(peer_) + " " + what}};
  handler_->on_closed(*this, reason);
}

void FrameConnection::shut() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  timer_.cancel();
  stop_reading();
  write_event_.disable();
  socket_.close();
  if (dirty_) loop_.forget_dirty(this);
  if (deferred_) loop_.forget_deferred(this);
  dirty_ = deferred_ = false;
  if (lookup_ != nullptr) *lookup_ = nullptr;
  std::string().swap(input_);
  release_output();
}

}  // namespace holdfast::net
