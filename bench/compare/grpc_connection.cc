#include "bench/compare/grpc_connection.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "bench/load/measure.h"

namespace holdfast::bench {
namespace {

constexpr size_t kPrefixBytes = 5;  ///< of each gRPC message: not compressed, and its length
constexpr int kFlushOrder = 100;

void append_message(std::string& out, std::string_view message) {
  out.push_back(0);
  for (int shift = 24; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(message.size() >> shift));
  }
  out.append(message);
}

size_t message_bytes(std::string_view prefix) {
  size_t size = 0;
  for (const char c : prefix.substr(1, 4)) size = size << 8 | static_cast<uint8_t>(c);
  return size;
}

net::Socket connect_now(const net::Address& server) {
  const auto endpoints = net::literal_endpoints(server);
  if (endpoints.empty()) fail(net::to_string(server) + " is no literal address");
  const std::string& raw = endpoints.front().sockaddr;
  net::Socket socket(::socket(endpoints.front().family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(socket.fd(), reinterpret_cast<const sockaddr*>(raw.data()),
                static_cast<socklen_t>(raw.size())) != 0) {
    return {};
  }
  ::fcntl(socket.fd(), F_SETFL, O_NONBLOCK);
  net::set_tcp_options(socket.fd(), Duration(0));
  return socket;
}

nghttp2_nv header(std::string_view name, std::string_view value) {
  const auto bytes = [](std::string_view text) {
    return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
  };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

std::string_view text(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

}  // namespace

/// nghttp2 calls these from inside nghttp2_session_mem_recv and _mem_send.
struct GrpcConnection::Callbacks {
  static Stream* find(void* self, int32_t id) {
    auto& streams = static_cast<GrpcConnection*>(self)->streams_;
    const auto found = streams.find(id);
    return found == streams.end() ? nullptr : &found->second;
  }

  static ssize_t read_request(nghttp2_session*, int32_t id, uint8_t* to, size_t room,
                              uint32_t* flags, nghttp2_data_source*, void* self) {
    Stream* stream = find(self, id);
    if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    const size_t size = stream->out.copy(reinterpret_cast<char*>(to), room, stream->sent);
    stream->sent += size;
    if (stream->sent < stream->out.size()) return static_cast<ssize_t>(size);
    if (stream->last_request) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
    } else {
      stream->out.clear();
      stream->sent = 0;
      if (size == 0) return NGHTTP2_ERR_DEFERRED;
    }
    return static_cast<ssize_t>(size);
  }

  static int on_data(nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size,
                     void* self) {
    Stream* stream = find(self, id);
    if (stream != nullptr) static_cast<GrpcConnection*>(self)->deliver(*stream, text(data, size));
    return 0;
  }

  static int on_header(nghttp2_session*, const nghttp2_frame*, const uint8_t* name,
                       size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                       void* self) {
    auto& refusal = static_cast<GrpcConnection*>(self)->refusal_;
    const std::string_view key = text(name, name_size);
    const std::string said(text(value, value_size));
    if (key == "grpc-status" && said != "0") refusal = "status " + said;
    if (key == "grpc-message" && !said.empty()) refusal += " " + said;
    return 0;
  }

  static int on_stream_close(nghttp2_session*, int32_t id, uint32_t error, void* self) {
    auto* connection = static_cast<GrpcConnection*>(self);
    connection->streams_.erase(id);
    std::string refusal = std::exchange(connection->refusal_, {});
    if (error != 0) refusal += " HTTP/2 error " + std::to_string(error);
    if (!refusal.empty()) connection->owner_.on_refused(connection->lane_, refusal);
    return 0;
  }

  static nghttp2_session* new_session(GrpcConnection* self) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session* session = nullptr;
    nghttp2_session_client_new(&session, callbacks, self);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0);
    return session;
  }
};

GrpcConnection::GrpcConnection(net::Loop& loop, const net::Address& server, size_t lane,
                               Owner& owner)
    : lane_(lane),
      owner_(owner),
      authority_(net::to_string(server)),
      socket_(connect_now(server)),
      read_event_(
          loop, [](void* self) { static_cast<GrpcConnection*>(self)->on_readable(); }, this),
      write_event_(
          loop,
          [](void* self) {
            auto* connection = static_cast<GrpcConnection*>(self);
            connection->write_event_.disable();
          },
          this) {
  if (!socket_.open()) return;
  session_ = Callbacks::new_session(this);
  read_event_.enable(socket_.fd(), net::FdEvent::Interest::kRead);
  flush_hook_ = loop.on_turn_end(kFlushOrder, [this] { flush(); });
}

GrpcConnection::~GrpcConnection() {
  read_event_.disable();
  write_event_.disable();
  nghttp2_session_del(session_);
}

int32_t GrpcConnection::begin(std::string_view path, std::string_view message, uint64_t tag,
                              bool last_request) {
  const std::array headers = {
      header(":method", "POST"), header(":scheme", "http"),
      header(":path", path),     header(":authority", authority_),
      header("te", "trailers"),  header("content-type", "application/grpc"),
  };
  nghttp2_data_provider provider{};
  provider.read_callback = Callbacks::read_request;
  const int32_t id =
      nghttp2_submit_request(session_, nullptr, headers.data(), headers.size(), &provider, nullptr);
  if (id < 0) fail(std::string("HTTP/2: ") + nghttp2_strerror(id));
  Stream& stream = streams_[id];
  stream.tag = tag;
  stream.last_request = last_request;
  dirty_ = true;
  append_message(stream.out, message);
  return id;
}

void GrpcConnection::send(int32_t stream, std::string_view message) {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return;
  append_message(found->second.out, message);
  dirty_ = true;
  nghttp2_session_resume_data(session_, stream);
}

/// Most often the bytes are exactly one message, handed over in place.
void GrpcConnection::deliver(Stream& stream, std::string_view bytes) {
  const uint64_t tag = stream.tag;
  if (stream.in.empty() && bytes.size() >= kPrefixBytes &&
      bytes.size() == kPrefixBytes + message_bytes(bytes)) {
    return owner_.on_message(tag, bytes.substr(kPrefixBytes));
  }
  stream.in.append(bytes);
  while (stream.in.size() >= kPrefixBytes) {
    const size_t whole = kPrefixBytes + message_bytes(stream.in);
    if (stream.in.size() < whole) return;
    const std::string message = stream.in.substr(kPrefixBytes, whole - kPrefixBytes);
    stream.in.erase(0, whole);
    owner_.on_message(tag, message);
  }
}

void GrpcConnection::on_readable() {
  std::array<uint8_t, 64 << 10> buffer;
  const ssize_t size = ::recv(socket_.fd(), buffer.data(), buffer.size(), 0);
  if (size < 0 && errno == EAGAIN) return;
  if (size <= 0) return lost(size == 0 ? "closed by the server" : std::strerror(errno));
  const ssize_t used = nghttp2_session_mem_recv(session_, buffer.data(), static_cast<size_t>(size));
  if (used < 0) return lost(nghttp2_strerror(static_cast<int>(used)));
  dirty_ = true;  // acknowledgements and window updates
}

/// Called of every connection in every turn: most have nothing to send.
void GrpcConnection::flush() {
  if (!dirty_ || !socket_.open() || write_event_.enabled()) return;
  const uint8_t* chunk = nullptr;
  for (ssize_t size = 1; size > 0;) {
    size = nghttp2_session_mem_send(session_, &chunk);
    if (size < 0) return lost(nghttp2_strerror(static_cast<int>(size)));
    out_.append(text(chunk, static_cast<size_t>(size)));
  }
  dirty_ = !out_.empty();
  if (!dirty_) return;
  const ssize_t taken = ::send(socket_.fd(), out_.data(), out_.size(), MSG_NOSIGNAL);
  if (taken < 0 && errno != EAGAIN) return lost(std::strerror(errno));
  out_.erase(0, static_cast<size_t>(std::max<ssize_t>(taken, 0)));
  // Once there is room again the event goes off, and the same turn's end sends the rest.
  dirty_ = !out_.empty();
  if (dirty_) write_event_.enable(socket_.fd(), net::FdEvent::Interest::kWrite);
}

void GrpcConnection::lost(const std::string& why) {
  read_event_.disable();
  write_event_.disable();
  socket_.close();
  owner_.on_connection_lost(lane_, why);
}

}  // namespace holdfast::bench
