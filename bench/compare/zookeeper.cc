// ZooKeeper as a store: setData for values, and the lock recipe of its documentation: an ephemeral
// sequential node a contender, the lowest holds, each of the others watches the one before it.
#include <algorithm>
#include <unordered_map>

#include "bench/compare/store.h"
#include "bench/compare/zookeeper_connection.h"
#include "bench/load/measure.h"

namespace holdfast::bench {
namespace {

constexpr int32_t kNoNode = -101;
constexpr int32_t kNodeExists = -110;
constexpr int32_t kPersistent = 0;
constexpr int32_t kEphemeralSequential = 3;
constexpr int32_t kAnyVersion = -1;
/// Calls whose tag is not a client's or a writer's.
constexpr uint64_t kSetup = UINT64_MAX;
/// Added to the number of a watcher of the value, and to the tags of keys' makers and readers.
constexpr uint64_t kValueWatch = uint64_t{1} << 62;
constexpr uint64_t kOfKey = uint64_t{1} << 61;

std::string path_of_key(size_t key) { return "/key-" + std::to_string(key); }

class ZooKeeper final : public Store, private ZooKeeperConnection::Owner {
 public:
  ZooKeeper(net::Loop& loop, size_t lanes) : loop_(loop), lanes_(lanes) {
    for (size_t i = 0; i < lanes; ++i) values_.push_back("/value-" + std::to_string(i));
  }

  void dial(size_t lane, const std::string& server) override;
  void prepare_values(size_t value_bytes) override;
  void prepare_locks(size_t clients, bool shared) override;
  void write(size_t lane, uint64_t tag) override;
  void make_key(size_t lane, size_t key, uint64_t tag) override;
  void read(size_t lane, size_t key, bool linearizable, uint64_t tag) override;
  void acquire(size_t client) override;
  void release(size_t client) override;
  void watch(size_t watcher) override;
  void end_sessions() override;

 private:
  struct Client {
    std::string lock;  ///< the parent of the contenders' nodes
    std::string node;  ///< its own, once created
    std::string previous;
  };

  ZooKeeperConnection& lane_of(size_t client) { return *lanes_[client % lanes_.size()]; }
  void wait_for_setups() {
    while (setups_left_ > 0) loop_.turn(1s);
  }
  void create(ZooKeeperConnection& lane, uint64_t tag, const std::string& path, int32_t kind,
              std::string_view value = {});
  void make_nodes(const std::vector<std::string>& paths);
  void list(size_t client);
  void get_and_watch(ZooKeeperConnection& lane, uint64_t tag, const std::string& path);
  void watch_previous(size_t client);
  void on_listed(size_t client, JuteReader names);
  void on_created(uint64_t tag, JuteReader path);
  void on_data(uint64_t tag, bool gone);

  void on_session(size_t lane) override { sink().on_ready(lane); }
  void on_reply(ZooKeeperConnection::Call call, int32_t error, JuteReader body) override;
  void on_event(size_t lane, std::string_view path) override;
  void on_session_lost(size_t lane, const std::string& why) override {
    if (!ending_) sink().on_failed(lane, why);
  }

  net::Loop& loop_;
  std::vector<std::unique_ptr<ZooKeeperConnection>> lanes_;
  std::vector<std::string> values_;
  std::string value_;
  std::vector<Client> clients_;
  std::unordered_map<std::string, size_t> watchers_;  ///< by the node that is watched
  size_t setups_left_ = 0;
  bool ending_ = false;
};

void ZooKeeper::dial(size_t lane, const std::string& server) {
  const auto address = net::parse_address(server);
  if (!address) fail(address.error().message);
  ZooKeeperConnection::Owner& owner = *this;
  lanes_[lane] = std::make_unique<ZooKeeperConnection>(loop_, *address, lane, owner);
}

void ZooKeeper::create(ZooKeeperConnection& lane, uint64_t tag, const std::string& path,
                       int32_t kind, std::string_view value) {
  lane.call({ZooOp::kCreate, tag}, [&](JuteWriter& body) {
    constexpr int32_t acl_entries = 1;
    constexpr int32_t all_permissions = 31;
    body.put(path).put(value);
    body.put(acl_entries).put(all_permissions).put("world").put("anyone").put(kind);
  });
}

void ZooKeeper::make_nodes(const std::vector<std::string>& paths) {
  setups_left_ = paths.size();
  for (const std::string& path : paths) create(*lanes_[0], kSetup, path, kPersistent);
  wait_for_setups();
}

void ZooKeeper::prepare_values(size_t value_bytes) {
  value_.assign(value_bytes, 'v');
  make_nodes(values_);
}

void ZooKeeper::prepare_locks(size_t clients, bool shared) {
  std::vector<std::string> paths;
  const std::string run = lock_name_of_run(loop_.clock());
  for (size_t i = 0; i < clients; ++i) {
    const std::string lock = "/" + run + (shared ? "" : "-" + std::to_string(i));
    clients_.push_back({lock, {}, {}});
    if (i == 0 || !shared) paths.push_back(lock);
  }
  make_nodes(paths);
}

void ZooKeeper::write(size_t lane, uint64_t tag) {
  lanes_[lane]->call({ZooOp::kSetData, tag}, [&](JuteWriter& body) {
    body.put(values_[lane]).put(value_).put(kAnyVersion);
  });
}

void ZooKeeper::make_key(size_t lane, size_t key, uint64_t tag) {
  create(*lanes_[lane], kOfKey | tag, path_of_key(key), kPersistent, value_);
}

/// A sync before it makes a read see what was written before; a session's requests are answered in
/// their order.
void ZooKeeper::read(size_t lane, size_t key, bool linearizable, uint64_t tag) {
  const std::string path = path_of_key(key);
  if (linearizable) {
    lanes_[lane]->call({ZooOp::kSync, tag}, [&](JuteWriter& body) { body.put(path); });
  }
  lanes_[lane]->call({ZooOp::kGetData, kOfKey | tag}, [&](JuteWriter& body) {
    constexpr int8_t watch = 0;
    body.put(path).put(watch);
  });
}

void ZooKeeper::acquire(size_t client) {
  const std::string prefix = clients_[client].lock + "/lock-";
  create(lane_of(client), client, prefix, kEphemeralSequential);
}

void ZooKeeper::release(size_t client) {
  lane_of(client).call({ZooOp::kDelete, client},
                       [&](JuteWriter& body) { body.put(clients_[client].node).put(kAnyVersion); });
}

void ZooKeeper::list(size_t client) {
  lane_of(client).call({ZooOp::kList, client}, [&](JuteWriter& body) {
    constexpr int8_t watch = 0;
    body.put(clients_[client].lock).put(watch);
  });
}

/// By getData, as Curator does: unlike exists it leaves no watch behind on a node that is gone.
void ZooKeeper::get_and_watch(ZooKeeperConnection& lane, uint64_t tag, const std::string& path) {
  lane.call({ZooOp::kGetData, tag}, [&](JuteWriter& body) {
    constexpr int8_t watch = 1;
    body.put(path).put(watch);
  });
}

void ZooKeeper::watch_previous(size_t client) {
  const std::string& previous = clients_[client].previous;
  watchers_[previous] = client;
  get_and_watch(lane_of(client), client, previous);
}

/// A session is told once of a node, whatever it has read with a watch, and a connection has one.
void ZooKeeper::watch(size_t watcher) {
  if (watcher + 1 >= lanes_.size()) fail("ZooKeeper's watchers need a connection each");
  get_and_watch(*lanes_[lane_of_watcher(watcher, lanes_.size())], kValueWatch | watcher,
                values_.front());
}

/// Otherwise each expires some time after its connection has ended, by a command of its own.
void ZooKeeper::end_sessions() {
  ending_ = true;
  setups_left_ = lanes_.size();
  for (const auto& lane : lanes_) lane->call({ZooOp::kCloseSession, kSetup}, [](JuteWriter&) {});
  wait_for_setups();
}

/// The sequence numbers have the same width, so names sort as numbers do.
void ZooKeeper::on_listed(size_t client, JuteReader names) {
  Client& c = clients_[client];
  const std::string_view own = std::string_view(c.node).substr(c.lock.size() + 1);
  std::string_view previous;
  const auto count = names.read<int32_t>();
  for (int32_t i = 0; i < count; ++i) {
    const std::string_view name = names.read_bytes();
    if (name < own) previous = std::max(previous, name);
  }
  if (!names.ok()) fail("ZooKeeper sent a malformed list");
  if (previous.empty()) return sink().on_acquired(client);
  c.previous = c.lock + "/" + std::string(previous);
  watch_previous(client);
}

void ZooKeeper::on_event(size_t lane, std::string_view path) {
  if (path == values_.front()) return sink().on_changed(lane - 1);
  const auto watcher = watchers_.find(std::string(path));
  if (watcher == watchers_.end()) return;
  const size_t client = watcher->second;
  watchers_.erase(watcher);
  list(client);
}

void ZooKeeper::on_created(uint64_t tag, JuteReader path) {
  if (tag == kSetup) {
    --setups_left_;
  } else if (tag >= kOfKey) {
    sink().on_written(tag - kOfKey);
  } else {
    clients_[tag].node = path.read_bytes();
    list(tag);
  }
}

void ZooKeeper::on_data(uint64_t tag, bool gone) {
  if (tag >= kValueWatch) return sink().on_watching(tag - kValueWatch);
  if (tag >= kOfKey) return sink().on_read(tag - kOfKey);
  if (gone && watchers_.erase(clients_[tag].previous) > 0) list(tag);
}

void ZooKeeper::on_reply(ZooKeeperConnection::Call call, int32_t error, JuteReader body) {
  const bool gone_already = call.op == ZooOp::kGetData && call.tag < kOfKey && error == kNoNode;
  const bool made_already = call.tag >= kOfKey && error == kNodeExists;
  if (error != 0 && !gone_already && !made_already) {
    fail("ZooKeeper answers operation " + std::to_string(static_cast<int32_t>(call.op)) +
         " with error " + std::to_string(error));
  }
  switch (call.op) {
    case ZooOp::kSetData:
      return sink().on_written(call.tag);
    case ZooOp::kCreate:
      return on_created(call.tag, body);
    case ZooOp::kList:
      return on_listed(call.tag, body);
    case ZooOp::kGetData:
      return on_data(call.tag, gone_already);
    case ZooOp::kDelete:
      return sink().on_released(call.tag);
    case ZooOp::kSync:
      return;  // of a read, whose answer follows
    case ZooOp::kCloseSession:
      --setups_left_;
  }
}

}  // namespace

std::unique_ptr<Store> make_zookeeper(net::Loop& loop, size_t lanes) {
  return std::make_unique<ZooKeeper>(loop, lanes);
}

}  // namespace holdfast::bench
