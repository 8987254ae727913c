// A whole server in this process with four I/O threads, its log on a real disk with the log's own
// threads, and clients that behave in every way at once: made for the thread sanitizer (cmake
// --preset tsan), which sees every access that two threads make without an order between them.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <filesystem>
#include <thread>
#include <vector>

#include "base/entropy.h"
#include "coordinator/server/server.h"
#include "tests/stress/stock_client.h"

namespace holdfast::stress {
namespace {

constexpr int kClientThreads = 4;
constexpr int kActsBeforeTheEnd = 400;

server::ServerOptions options_in(const std::string& directory, int io_threads) {
  server::ServerOptions options;
  options.data_dir = directory;
  options.bootstrap = true;
  options.io_threads = io_threads;
  options.segment_bytes = 64 << 10;  // often a new one: the preparing thread works too
  for (net::Address* address : {&options.client_listen, &options.peer_listen, &options.admin_listen,
                                &options.http_listen}) {
    *address = {"127.0.0.1", 0};
  }
  return options;
}

/// Runs until SIGTERM, in a directory of its own.
class RunningServer {
 public:
  explicit RunningServer(int io_threads)
      : directory_(std::filesystem::temp_directory_path() /
                   ("holdfast-stress-" + std::to_string(::getpid()))),
        server_(options_in(directory_, io_threads)) {
    const auto failed = server_.start();
    EXPECT_FALSE(failed) << failed->message;
    thread_ = std::thread([this] { failure_ = server_.run(); });
  }
  ~RunningServer() { std::filesystem::remove_all(directory_); }

  uint16_t port() const { return server_.client_port(); }
  /// As an operator stops it; returns when it has ended.
  void stop() {
    ::kill(::getpid(), SIGTERM);
    thread_.join();
    EXPECT_FALSE(failure_) << failure_->message;
  }

 private:
  std::filesystem::path directory_;
  server::Server server_;
  std::optional<server::Failure> failure_;
  std::thread thread_;
};

/// What the client threads share.
struct Crowd {
  uint16_t port = 0;
  std::atomic<uint64_t> next_session{1};
  std::atomic<int> acts{0};
  std::atomic<int> answered{0};
  std::atomic<int> holders{0};  ///< of the one contended lock
  std::atomic<bool> stopping{false};
};

/// A lock that all want: never two holders, and a token that only grows.
void hold_the_lock(Crowd& crowd) {
  StockClient client(crowd.port);
  api::RequestContext context = client.open_session(crowd.next_session++);
  context.sequence = 1;
  api::AcquireRequest wanted;
  wanted.path = "/stress/one";
  wanted.waitMs = 2'000;
  wanted.value.assign(4'000, 'v');
  api::AcquireResult got;
  client.api.acquire(got, context, wanted);
  if (got.status == api::AcquireStatus::GRANTED) {
    EXPECT_EQ(++crowd.holders, 1);
    api::CheckTokenRequest check;
    check.path = wanted.path;
    check.token = got.token;
    api::CheckTokenResult current;
    client.api.checkToken(current, {}, check);
    EXPECT_TRUE(current.current);
    --crowd.holders;
  }
  context.sequence = 2;
  api::CloseSessionResult closed;
  client.api.closeSession(closed, context, {});
  ++crowd.answered;
}

/// Many calls in one write: each is answered, under its own number.
void pipeline(Crowd& crowd) {
  constexpr int kCalls = 50;
  StockClient opener(crowd.port);
  const api::RequestContext context = opener.open_session(crowd.next_session++);
  std::string bytes;
  for (int i = 0; i < kCalls; ++i) {
    bytes += frame_of_call([&](auto& client) { client.send_keepAlive(context, {}); });
  }
  BareSocket socket(crowd.port);
  if (!socket.write(bytes)) return;
  for (int i = 0; i < kCalls; ++i) {
    const std::string reply = socket.read_frame();
    if (reply.empty()) return;
    EXPECT_NE(reply.find("keepAlive"), std::string::npos);
    ++crowd.answered;
  }
}

/// Says that it sends no more while its poll is parked: still answered or ended, never left
/// hanging.
void half_close_a_parked_poll(Crowd& crowd) {
  StockClient opener(crowd.port);
  const api::RequestContext context = opener.open_session(crowd.next_session++, 4'000);
  api::PollRequest request;
  request.maxWaitMs = 50;
  BareSocket socket(crowd.port);
  // A server that has stopped listening meanwhile has no connection to leave hanging.
  if (!socket.write(frame_of_call([&](auto& client) { client.send_poll(context, request); }))) {
    return;
  }
  socket.half_close();
  EXPECT_TRUE(socket.read_to_end());
}

/// Vanishes while its acquire waits.
void reset_a_parked_acquire(Crowd& crowd) {
  StockClient opener(crowd.port);
  api::RequestContext context = opener.open_session(crowd.next_session++, 4'000);
  context.sequence = 1;
  api::AcquireRequest wanted;
  wanted.path = "/stress/left";  // held until the session expires
  wanted.waitMs = 100;
  BareSocket socket(crowd.port);
  socket.write(frame_of_call([&](auto& client) { client.send_acquire(context, wanted); }));
  socket.reset_on_close();
}

void send_garbage(Crowd& crowd) {
  BareSocket socket(crowd.port);
  socket.write(std::string("\0\0\0\x05HELLO", 9));
  EXPECT_TRUE(socket.read_to_end());
}

/// A frame byte by byte, in part.
void dribble(Crowd& crowd) {
  BareSocket socket(crowd.port);
  const std::string frame = frame_of_call([](auto& client) { client.send_checkToken({}, {}); });
  for (size_t i = 0; i < frame.size() / 2; ++i) socket.write(frame.substr(i, 1));
}

void come_and_go(Crowd& crowd) {
  for (int i = 0; i < 5; ++i) BareSocket socket(crowd.port);
}

void act(Crowd& crowd, uint32_t seed) {
  using Act = void (*)(Crowd&);
  constexpr Act kActs[] = {hold_the_lock, pipeline,      half_close_a_parked_poll,
                           send_garbage,  come_and_go,   reset_a_parked_acquire,
                           hold_the_lock, hold_the_lock, dribble};
  SplitMix random(seed);
  while (!crowd.stopping) {
    try {
      kActs[random.below(std::size(kActs))](crowd);
    } catch (const apache::thrift::TException& error) {
      // A server that is being stopped may refuse and close; one that runs may not.
      EXPECT_TRUE(crowd.stopping) << error.what();
    }
    ++crowd.acts;
    crowd.acts.notify_one();
  }
}

TEST(ServerStress, ConnectionsComeCallWaitBreakAndTheServerStopsInTheMiddle) {
  RunningServer server(4);
  Crowd crowd;
  crowd.port = server.port();
  std::vector<std::thread> clients;
  for (uint32_t i = 0; i < kClientThreads; ++i) {
    clients.emplace_back([&crowd, i] { act(crowd, i); });
  }
  for (int seen = 0; seen < kActsBeforeTheEnd; seen = crowd.acts) crowd.acts.wait(seen);
  crowd.stopping = true;
  server.stop();
  for (std::thread& client : clients) client.join();
  EXPECT_GT(crowd.answered, kActsBeforeTheEnd / 10);
}

}  // namespace
}  // namespace holdfast::stress
