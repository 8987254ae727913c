// etcd as a store: Put for values, and for locks what its own library does (clientv3/concurrency,
// Mutex): a key under a lease a contender, the lowest create revision holds, each of the others
// watches the key before it for its deletion.
#include <algorithm>
#include <array>
#include <charconv>
#include <unordered_map>

#include "bench/compare/grpc_connection.h"
#include "bench/compare/store.h"
#include "bench/load/measure.h"
#include "bench/wire/protobuf.h"

namespace holdfast::bench {
namespace {

constexpr int64_t kLeaseSeconds = 600;  ///< longer than a run: no lease is renewed

/// What a call's tag says: the operation in the low bits, then whom it is for.
enum class EtcdOp : uint8_t {
  kPut,
  kGrant,
  kAcquire,
  kFindPrevious,
  kRelease,
  kWatch,
  kValueWatch,
  kRead,
};
constexpr uint64_t kOpBits = 3;

constexpr uint64_t tag_of(EtcdOp op, uint64_t whom) {
  return whom << kOpBits | static_cast<uint64_t>(op);
}

/// The end of the range of all keys that start with `prefix`, which ends in a slash.
std::string range_end(std::string prefix) {
  ++prefix.back();
  return prefix;
}

// Field numbers of etcdserverpb (rpc.proto) and mvccpb (kv.proto).
namespace field {
constexpr uint32_t kHeader = 1;
constexpr uint32_t kHeaderRevision = 3;
constexpr uint32_t kKey = 1;
constexpr uint32_t kPutValue = 2;
constexpr uint32_t kPutLease = 3;
constexpr uint32_t kRangeEnd = 2;
constexpr uint32_t kRangeLimit = 3;
constexpr uint32_t kRangeSortOrder = 5;
constexpr uint32_t kRangeSortTarget = 6;
constexpr uint32_t kRangeSerializable = 7;
constexpr uint32_t kRangeMaxCreateRevision = 13;
constexpr uint32_t kRangeKvs = 2;
constexpr uint32_t kKvCreateRevision = 2;
constexpr uint32_t kCompareTarget = 2;
constexpr uint32_t kCompareKey = 3;
constexpr uint32_t kCompareCreateRevision = 5;
constexpr uint32_t kTxnCompare = 1;
constexpr uint32_t kTxnSuccess = 2;
constexpr uint32_t kTxnFailure = 3;
constexpr uint32_t kTxnSucceeded = 2;
constexpr uint32_t kTxnResponses = 3;
constexpr uint32_t kOpRange = 1;
constexpr uint32_t kOpPut = 2;
constexpr uint32_t kGrantTtl = 1;
constexpr uint32_t kGrantId = 2;
constexpr uint32_t kWatchCreate = 1;
constexpr uint32_t kWatchCancel = 2;
constexpr uint32_t kWatchStartRevision = 3;
constexpr uint32_t kWatchCreateId = 7;
constexpr uint32_t kWatchCancelId = 1;
constexpr uint32_t kWatchId = 2;
constexpr uint32_t kWatchCreated = 3;
constexpr uint32_t kWatchEvents = 11;
constexpr uint32_t kEventType = 1;
}  // namespace field

constexpr int64_t kAscending = 1;
constexpr int64_t kDescending = 2;
constexpr int64_t kByCreateRevision = 2;
constexpr int64_t kCompareCreate = 1;
constexpr int64_t kWritten = 0;
constexpr int64_t kDeleted = 1;

class Etcd final : public Store, private GrpcConnection::Owner {
 public:
  Etcd(net::Loop& loop, size_t lanes) : loop_(loop), lanes_(lanes), watch_streams_(lanes) {}

  void dial(size_t lane, const std::string& server) override;
  void prepare_values(size_t value_bytes) override;
  void prepare_locks(size_t clients, bool shared) override;
  void write(size_t lane, uint64_t tag) override;
  void make_key(size_t lane, size_t key, uint64_t tag) override;
  void read(size_t lane, size_t key, bool linearizable, uint64_t tag) override;
  void acquire(size_t client) override;
  void release(size_t client) override;
  void watch(size_t watcher) override;

 private:
  struct Client {
    std::string prefix;
    int64_t lease = 0;
    std::string key;  ///< prefix and lease, as the library names it
    std::string acquire_request;
    std::string release_request;
    int64_t revision = 0;  ///< at which its key was created
  };

  void on_message(uint64_t tag, std::string_view message) override;
  void on_refused(size_t lane, const std::string& status) override {
    sink().on_failed(lane, status);
  }
  void on_connection_lost(size_t lane, const std::string& why) override {
    sink().on_failed(lane, why);
  }
  void on_leased(size_t client, std::string_view response);
  void on_acquire_response(size_t client, std::string_view response);
  void find_previous(size_t client);
  void on_previous(size_t client, std::string_view response);
  void create_watch(size_t lane, EtcdOp op, const std::string& watch);
  void watch_previous(size_t client, std::string_view key, int64_t from_revision);
  void on_watch_response(size_t lane, std::string_view response);
  void on_value_watch_response(std::string_view response);

  GrpcConnection& lane_of(size_t client) { return *lanes_[client % lanes_.size()]; }

  net::Loop& loop_;
  std::vector<std::unique_ptr<GrpcConnection>> lanes_;
  std::vector<int32_t> watch_streams_;  ///< 0: none yet
  std::vector<std::string> put_requests_;
  std::string value_;
  std::vector<Client> clients_;
  std::unordered_map<int64_t, size_t> watchers_;  ///< clients by watch id
  int64_t last_watch_ = 0;
  std::vector<bool> watching_;  ///< by watcher of the value
  size_t leases_left_ = 0;
  std::string scratch_;
};

/// The library's transaction: if the key is not there yet, put it under the lease; either way say
/// who holds.
std::string acquire_request(const std::string& key, const std::string& prefix, int64_t lease) {
  std::string compare;
  ProtoWriter(compare)
      .put(field::kCompareTarget, kCompareCreate)
      .put(field::kCompareKey, key)
      .put(field::kCompareCreateRevision, int64_t{0});
  std::string put;
  ProtoWriter(put).put(field::kKey, key).put(field::kPutLease, lease);
  std::string get;
  ProtoWriter(get).put(field::kKey, key);
  std::string get_owner;
  ProtoWriter(get_owner)
      .put(field::kKey, prefix)
      .put(field::kRangeEnd, range_end(prefix))
      .put(field::kRangeLimit, int64_t{1})
      .put(field::kRangeSortOrder, kAscending)
      .put(field::kRangeSortTarget, kByCreateRevision);
  const auto wrapped = [](uint32_t kind, const std::string& operation) {
    std::string out;
    ProtoWriter(out).put(kind, operation);
    return out;
  };
  std::string request;
  ProtoWriter(request)
      .put(field::kTxnCompare, compare)
      .put(field::kTxnSuccess, wrapped(field::kOpPut, put))
      .put(field::kTxnSuccess, wrapped(field::kOpRange, get_owner))
      .put(field::kTxnFailure, wrapped(field::kOpRange, get))
      .put(field::kTxnFailure, wrapped(field::kOpRange, get_owner));
  return request;
}

bool tells_of_event(std::string_view watch_response, int64_t type) {
  for (ProtoReader reader(watch_response); reader.next();) {
    if (reader.field() == field::kWatchEvents &&
        proto_number(reader.bytes(), field::kEventType) == type) {
      return true;
    }
  }
  return false;
}

std::string value_key(size_t lane) { return "value-" + std::to_string(lane); }

std::string name_of_key(size_t key) { return "key-" + std::to_string(key); }

std::string put_request(const std::string& key, const std::string& value) {
  std::string request;
  ProtoWriter(request).put(field::kKey, key).put(field::kPutValue, value);
  return request;
}

int64_t revision_of(std::string_view response) {
  return proto_number(proto_bytes(response, field::kHeader), field::kHeaderRevision);
}

void Etcd::dial(size_t lane, const std::string& server) {
  const auto address = net::parse_address(server);
  if (!address) fail(address.error().message);
  watch_streams_[lane] = 0;
  GrpcConnection::Owner& owner = *this;
  lanes_[lane] = std::make_unique<GrpcConnection>(loop_, *address, lane, owner);
  loop_.post([this, lane] {
    if (lanes_[lane]->connected()) {
      sink().on_ready(lane);
    } else {
      sink().on_failed(lane, "refused");
    }
  });
}

void Etcd::prepare_values(size_t value_bytes) {
  value_.assign(value_bytes, 'v');
  for (size_t lane = 0; lane < lanes_.size(); ++lane) {
    put_requests_.push_back(put_request(value_key(lane), value_));
  }
}

/// A lease a client, as the library's sessions have.
void Etcd::prepare_locks(size_t clients, bool shared) {
  leases_left_ = clients;
  const std::string run = lock_name_of_run(loop_.clock());
  for (size_t i = 0; i < clients; ++i) {
    clients_.push_back({run + (shared ? "" : "-" + std::to_string(i)) + "/"});
    std::string request;
    ProtoWriter(request).put(field::kGrantTtl, kLeaseSeconds);
    lane_of(i).call("/etcdserverpb.Lease/LeaseGrant", request, tag_of(EtcdOp::kGrant, i));
  }
  while (leases_left_ > 0) loop_.turn(1s);
}

void Etcd::on_leased(size_t client, std::string_view response) {
  Client& c = clients_[client];
  c.lease = proto_number(response, field::kGrantId);
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.begin(), digits.end(), static_cast<uint64_t>(c.lease), 16);
  c.key = c.prefix + std::string(digits.begin(), end.ptr);
  c.acquire_request = acquire_request(c.key, c.prefix, c.lease);
  ProtoWriter(c.release_request).put(field::kKey, c.key);
  --leases_left_;
}

void Etcd::write(size_t lane, uint64_t tag) {
  lanes_[lane]->call("/etcdserverpb.KV/Put", put_requests_[lane], tag_of(EtcdOp::kPut, tag));
}

void Etcd::make_key(size_t lane, size_t key, uint64_t tag) {
  lanes_[lane]->call("/etcdserverpb.KV/Put", put_request(name_of_key(key), value_),
                     tag_of(EtcdOp::kPut, tag));
}

void Etcd::read(size_t lane, size_t key, bool linearizable, uint64_t tag) {
  scratch_.clear();
  ProtoWriter range(scratch_);
  range.put(field::kKey, name_of_key(key));
  if (!linearizable) range.put(field::kRangeSerializable, int64_t{1});
  lanes_[lane]->call("/etcdserverpb.KV/Range", scratch_, tag_of(EtcdOp::kRead, tag));
}

void Etcd::acquire(size_t client) {
  lane_of(client).call("/etcdserverpb.KV/Txn", clients_[client].acquire_request,
                       tag_of(EtcdOp::kAcquire, client));
}

void Etcd::release(size_t client) {
  lane_of(client).call("/etcdserverpb.KV/DeleteRange", clients_[client].release_request,
                       tag_of(EtcdOp::kRelease, client));
}

/// Every key of the bench's is new, so the transaction must have succeeded; its second response is
/// the owner's key.
void Etcd::on_acquire_response(size_t client, std::string_view response) {
  if (proto_number(response, field::kTxnSucceeded) == 0) fail("etcd: the key was there already");
  clients_[client].revision = revision_of(response);
  const std::string_view owners =
      proto_bytes(proto_bytes(response, field::kTxnResponses), field::kOpRange);
  const std::string_view owner = proto_bytes(owners, field::kRangeKvs);
  if (proto_number(owner, field::kKvCreateRevision) == clients_[client].revision) {
    return sink().on_acquired(client);
  }
  find_previous(client);
}

void Etcd::find_previous(size_t client) {
  const Client& c = clients_[client];
  scratch_.clear();
  ProtoWriter(scratch_)
      .put(field::kKey, c.prefix)
      .put(field::kRangeEnd, range_end(c.prefix))
      .put(field::kRangeLimit, int64_t{1})
      .put(field::kRangeSortOrder, kDescending)
      .put(field::kRangeSortTarget, kByCreateRevision)
      .put(field::kRangeMaxCreateRevision, c.revision - 1);
  lane_of(client).call("/etcdserverpb.KV/Range", scratch_, tag_of(EtcdOp::kFindPrevious, client));
}

void Etcd::on_previous(size_t client, std::string_view response) {
  const std::string_view previous = proto_bytes(response, field::kRangeKvs);
  if (previous.empty()) return sink().on_acquired(client);
  watch_previous(client, proto_bytes(previous, field::kKey), revision_of(response));
}

/// One stream of watches a connection, as the library keeps.
void Etcd::create_watch(size_t lane, EtcdOp op, const std::string& watch) {
  std::string request;
  ProtoWriter(request).put(field::kWatchCreate, watch);
  if (watch_streams_[lane] != 0) return lanes_[lane]->send(watch_streams_[lane], request);
  watch_streams_[lane] =
      lanes_[lane]->open_stream("/etcdserverpb.Watch/Watch", request, tag_of(op, lane));
}

void Etcd::watch_previous(size_t client, std::string_view key, int64_t from_revision) {
  watchers_[++last_watch_] = client;
  std::string watch;
  ProtoWriter(watch)
      .put(field::kKey, key)
      .put(field::kWatchStartRevision, from_revision)
      .put(field::kWatchCreateId, last_watch_);
  create_watch(client % lanes_.size(), EtcdOp::kWatch, watch);
}

/// From now on, not from a revision: such a watch is never behind.
void Etcd::watch(size_t watcher) {
  watching_.resize(std::max(watching_.size(), watcher + 1));
  if (watching_[watcher]) return sink().on_watching(watcher);
  std::string watch;
  ProtoWriter(watch)
      .put(field::kKey, value_key(0))
      .put(field::kWatchCreateId, static_cast<int64_t>(watcher) + 1);
  create_watch(lane_of_watcher(watcher, lanes_.size()), EtcdOp::kValueWatch, watch);
}

void Etcd::on_value_watch_response(std::string_view response) {
  const auto watcher = static_cast<size_t>(proto_number(response, field::kWatchId)) - 1;
  if (proto_number(response, field::kWatchCreated) != 0) {
    watching_[watcher] = true;
    return sink().on_watching(watcher);
  }
  if (tells_of_event(response, kWritten)) sink().on_changed(watcher);
}

void Etcd::on_watch_response(size_t lane, std::string_view response) {
  const int64_t id = proto_number(response, field::kWatchId);
  const auto watcher = watchers_.find(id);
  if (!tells_of_event(response, kDeleted) || watcher == watchers_.end()) return;
  const size_t client = watcher->second;
  watchers_.erase(watcher);
  std::string cancel;
  ProtoWriter(cancel).put(field::kWatchCancelId, id);
  std::string request;
  ProtoWriter(request).put(field::kWatchCancel, cancel);
  lanes_[lane]->send(watch_streams_[lane], request);
  find_previous(client);
}

void Etcd::on_message(uint64_t tag, std::string_view message) {
  const uint64_t whom = tag >> kOpBits;
  switch (static_cast<EtcdOp>(tag & ((1u << kOpBits) - 1))) {
    case EtcdOp::kPut:
      return sink().on_written(whom);
    case EtcdOp::kGrant:
      return on_leased(whom, message);
    case EtcdOp::kAcquire:
      return on_acquire_response(whom, message);
    case EtcdOp::kFindPrevious:
      return on_previous(whom, message);
    case EtcdOp::kRelease:
      return sink().on_released(whom);
    case EtcdOp::kWatch:
      return on_watch_response(whom, message);
    case EtcdOp::kValueWatch:
      return on_value_watch_response(message);
    case EtcdOp::kRead:
      if (proto_bytes(message, field::kRangeKvs).empty()) fail("etcd: a key is not there");
      return sink().on_read(whom);
  }
}

}  // namespace

std::unique_ptr<Store> make_etcd(net::Loop& loop, size_t lanes) {
  return std::make_unique<Etcd>(loop, lanes);
}

}  // namespace holdfast::bench
