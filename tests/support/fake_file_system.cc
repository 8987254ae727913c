#include "tests/support/fake_file_system.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/checksum.h"

namespace holdfast::raft {

class FakeFileSystem::FakeFile final : public File {
 public:
  FakeFile(FakeFileSystem& files, InodeRef inode, std::string path)
      : files_(files), inode_(std::move(inode)), path_(std::move(path)), life_(files.life_) {
    ++files_.open_files_;
  }
  ~FakeFile() override {
    const std::lock_guard lock(files_.mutex_);
    if (life_ == files_.life_) --files_.open_files_;
  }

  IoResult<size_t> read(uint64_t offset, char* out, size_t size) override {
    const std::lock_guard lock(files_.mutex_);
    if (dead()) return IoError{EIO, "read", path_, "crashed"};
    if (const int error = files_.count_read()) return IoError{error, "read", path_, {}};
    const std::string& bytes = inode_->cache;
    if (offset >= bytes.size()) return size_t{0};
    const size_t part = std::min<uint64_t>(size, bytes.size() - offset);
    std::memcpy(out, bytes.data() + offset, part);
    return part;
  }

  IoStatus write(uint64_t offset, std::string_view bytes) override {
    const std::lock_guard lock(files_.mutex_);
    if (dead()) return IoError{EIO, "write", path_, "crashed"};
    return files_.store(*inode_, path_, offset, bytes);
  }

  IoStatus allocate(uint64_t offset, uint64_t size) override { return zero_fill(offset, size); }

  IoStatus zero_fill(uint64_t offset, uint64_t size) override {
    const std::lock_guard lock(files_.mutex_);
    if (dead()) return IoError{EIO, "write", path_, "crashed"};
    return files_.store(*inode_, path_, offset, std::string(size, '\0'));
  }

  IoStatus sync() override {
    const std::lock_guard lock(files_.mutex_);
    if (dead()) return IoError{EIO, "sync", path_, "crashed"};
    return files_.sync_inode(*inode_, path_);
  }

  IoStatus truncate(uint64_t size) override {
    const std::lock_guard lock(files_.mutex_);
    if (dead()) return IoError{EIO, "truncate", path_, "crashed"};
    return files_.truncate_inode(*inode_, path_, size);
  }

  IoResult<uint64_t> size() override {
    const std::lock_guard lock(files_.mutex_);
    if (dead()) return IoError{EIO, "stat", path_, "crashed"};
    return uint64_t{inode_->cache.size()};
  }

 private:
  bool dead() const { return files_.crashed_ || life_ != files_.life_; }

  FakeFileSystem& files_;
  const InodeRef inode_;
  const std::string path_;
  const uint64_t life_;
};

class FakeFileSystem::FakeLock final : public FileLock {
 public:
  FakeLock(FakeFileSystem& files, std::string path)
      : files_(files), path_(std::move(path)), life_(files.life_) {}
  ~FakeLock() override {
    const std::lock_guard lock(files_.mutex_);
    if (life_ == files_.life_) files_.locks_.erase(path_);
  }

 private:
  FakeFileSystem& files_;
  const std::string path_;
  const uint64_t life_;
};

FakeFileSystem::FakeFileSystem(uint64_t seed) : random_(seed) {
  auto root = std::make_shared<Inode>();
  root->directory = true;
  names_["/"] = durable_["/"] = root;
}

FakeFileSystem::~FakeFileSystem() = default;

std::unique_ptr<FakeFileSystem> FakeFileSystem::clone(uint64_t seed) const {
  const std::lock_guard lock(mutex_);
  auto copy = std::make_unique<FakeFileSystem>(seed);
  std::map<const Inode*, InodeRef> copies;
  const auto copied = [&](const InodeRef& inode) {
    InodeRef& known = copies[inode.get()];
    if (known == nullptr && inode != nullptr) known = std::make_shared<Inode>(*inode);
    return known;
  };
  copy->names_.clear();
  copy->durable_.clear();
  for (const auto& [path, inode] : names_) copy->names_[path] = copied(inode);
  for (const auto& [path, inode] : durable_) copy->durable_[path] = copied(inode);
  copy->changes_ = changes_;
  for (NameChange& change : copy->changes_) change.inode = copied(change.inode);
  return copy;
}

// --- The file system's operations.

FakeFileSystem::Verdict FakeFileSystem::count_operation(std::string_view operation,
                                                        const std::string& path, int& error) {
  ++operations_;
  record(checksum64(operation, checksum64(path)));
  if (crash_at_ && operations_ >= *crash_at_) {
    crashed_ = true;
    error = EIO;
    return Verdict::kCrash;
  }
  const auto failure = failures_.find(operations_);
  if (failure == failures_.end()) return Verdict::kDo;
  error = failure->second;
  return Verdict::kFail;
}

IoStatus FakeFileSystem::refuse(const char* operation, const std::string& path, int error) const {
  return IoError{error, operation, path, crashed_ ? "crashed" : ""};
}

std::string FakeFileSystem::parent_of(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

void FakeFileSystem::apply(Names& names, const NameChange& change) {
  switch (change.kind) {
    case NameChange::Kind::kCreate:
      names[change.path] = change.inode;
      break;
    case NameChange::Kind::kUnlink:
      names.erase(change.path);
      break;
    case NameChange::Kind::kRename:
      // With its source lost there is nothing to rename.
      if (auto moved = names.extract(change.path); !moved.empty()) {
        names[change.to] = moved.mapped();
      }
      break;
  }
}

void FakeFileSystem::note(NameChange change) {
  apply(names_, change);
  changes_.push_back(std::move(change));
}

IoResult<std::unique_ptr<File>> FakeFileSystem::open(const std::string& path, OpenMode mode) {
  const std::lock_guard lock(mutex_);
  if (crashed_) return IoError{EIO, "open", path, "crashed"};
  const auto found = names_.find(path);
  if (mode != OpenMode::kCreate) {
    if (found == names_.end()) return IoError{ENOENT, "open", path, {}};
    return std::unique_ptr<File>(std::make_unique<FakeFile>(*this, found->second, path));
  }
  int error = 0;
  const Verdict verdict = count_operation("create", path, error);
  if (verdict == Verdict::kFail) return IoError{error, "open", path, {}};
  if (verdict == Verdict::kCrash && random_.below(2) == 0)
    return IoError{EIO, "open", path, "crashed"};
  InodeRef inode = found == names_.end() ? std::make_shared<Inode>() : found->second;
  if (found == names_.end()) note({NameChange::Kind::kCreate, path, {}, inode});
  inode->cache.clear();
  inode->floor = 0;
  inode->dirty.clear();
  if (verdict == Verdict::kCrash) return IoError{EIO, "open", path, "crashed"};
  return std::unique_ptr<File>(std::make_unique<FakeFile>(*this, inode, path));
}

IoStatus FakeFileSystem::create_directory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (crashed_) return refuse("create directory", path, EIO);
  if (names_.contains(path)) return io_ok();
  if (!names_.contains(parent_of(path))) return refuse("create directory", path, ENOENT);
  int error = 0;
  const Verdict verdict = count_operation("create directory", path, error);
  if (verdict == Verdict::kDo || (verdict == Verdict::kCrash && random_.below(2) == 0)) {
    auto inode = std::make_shared<Inode>();
    inode->directory = true;
    note({NameChange::Kind::kCreate, path, {}, inode});
  }
  return verdict == Verdict::kDo ? io_ok() : refuse("create directory", path, error);
}

IoResult<std::vector<std::string>> FakeFileSystem::list(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (crashed_) return IoError{EIO, "list", path, "crashed"};
  if (!names_.contains(path)) return IoError{ENOENT, "list", path, {}};
  std::vector<std::string> names;
  for (const auto& [name, inode] : names_) {
    if (name != "/" && parent_of(name) == path) names.push_back(name.substr(name.rfind('/') + 1));
  }
  return names;
}

IoResult<bool> FakeFileSystem::exists(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (crashed_) return IoError{EIO, "stat", path, "crashed"};
  return names_.contains(path);
}

IoStatus FakeFileSystem::rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  if (crashed_) return refuse("rename", from, EIO);
  if (!names_.contains(from)) return refuse("rename", from, ENOENT);
  int error = 0;
  const Verdict verdict = count_operation("rename", from, error);
  if (verdict == Verdict::kDo || (verdict == Verdict::kCrash && random_.below(2) == 0)) {
    note({NameChange::Kind::kRename, from, to, {}});
  }
  return verdict == Verdict::kDo ? io_ok() : refuse("rename", from, error);
}

IoStatus FakeFileSystem::unlink(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (crashed_) return refuse("unlink", path, EIO);
  if (!names_.contains(path)) return refuse("unlink", path, ENOENT);
  int error = 0;
  const Verdict verdict = count_operation("unlink", path, error);
  if (verdict == Verdict::kDo || (verdict == Verdict::kCrash && random_.below(2) == 0)) {
    note({NameChange::Kind::kUnlink, path, {}, {}});
  }
  return verdict == Verdict::kDo ? io_ok() : refuse("unlink", path, error);
}

IoStatus FakeFileSystem::sync_directory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (crashed_) return refuse("sync", path, EIO);
  if (!names_.contains(path)) return refuse("sync", path, ENOENT);
  int error = 0;
  const Verdict verdict = count_operation("sync directory", path, error);
  if (verdict == Verdict::kFail) return refuse("sync", path, error);
  if (verdict == Verdict::kCrash) return refuse("sync", path, error);
  std::vector<NameChange> others;
  for (NameChange& change : changes_) {
    if (parent_of(change.path) == path) {
      apply(durable_, change);
    } else {
      others.push_back(std::move(change));
    }
  }
  changes_ = std::move(others);
  return io_ok();
}

IoResult<uint64_t> FakeFileSystem::free_bytes(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (crashed_) return IoError{EIO, "statvfs", path, "crashed"};
  const uint64_t used = used_bytes();
  return capacity_ > used ? capacity_ - used : 0;
}

IoResult<std::unique_ptr<FileLock>> FakeFileSystem::lock(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (crashed_) return IoError{EIO, "lock", path, "crashed"};
  if (refuse_locks_ != 0) return IoError{refuse_locks_, "open", path, ""};
  if (!locks_.insert(path).second) {
    return IoError{EWOULDBLOCK, "lock", path, "held by the process with pid 1"};
  }
  return std::unique_ptr<FileLock>(std::make_unique<FakeLock>(*this, path));
}

// --- Bytes.

void FakeFileSystem::mark_written(Inode& inode, uint64_t offset, uint64_t size) {
  for (uint64_t sector = offset / kSector; sector * kSector < offset + size; ++sector) {
    inode.dirty.insert(sector);
  }
}

bool FakeFileSystem::has_room(const Inode& inode, uint64_t end) const {
  if (end <= inode.cache.size() || capacity_ == ~uint64_t{0}) return true;
  return used_bytes() + end - inode.cache.size() <= capacity_;
}

uint64_t FakeFileSystem::used_bytes() const {
  uint64_t used = 0;
  for (const auto& [path, inode] : names_) used += inode->cache.size();
  return used;
}

/// Does what a lying disk does instead of this write, if it is to lie now.
bool FakeFileSystem::lies_about(Inode& inode, uint64_t offset, std::string_view bytes) {
  const auto lie = lies_.find(operations_);
  if (lie == lies_.end()) return false;
  const uint64_t room = inode.cache.size();
  if (lie->second && room > bytes.size()) {
    const uint64_t elsewhere = random_.below((room - bytes.size()) / kSector + 1) * kSector;
    if (elsewhere != offset) {
      std::memcpy(inode.cache.data() + elsewhere, bytes.data(), bytes.size());
      mark_written(inode, elsewhere, bytes.size());
    }
  }
  return true;
}

IoStatus FakeFileSystem::store(Inode& inode, const std::string& path, uint64_t offset,
                               std::string_view bytes) {
  int error = 0;
  const Verdict verdict = count_operation("write", path, error);
  record(checksum64(bytes, offset));
  if (verdict == Verdict::kDo && !has_room(inode, offset + bytes.size())) {
    return refuse("write", path, ENOSPC);
  }
  if (verdict == Verdict::kDo && lies_about(inode, offset, bytes)) {
    lied_about_.insert(path);
    return io_ok();
  }
  // An interrupted write has reached the page cache up to some sector.
  if (verdict != Verdict::kDo) {
    const uint64_t sectors = random_.below(bytes.size() / kSector + 1);
    bytes = bytes.substr(0, sectors * kSector);
  }
  if (!bytes.empty()) {
    if (inode.cache.size() < offset + bytes.size()) inode.cache.resize(offset + bytes.size());
    std::memcpy(inode.cache.data() + offset, bytes.data(), bytes.size());
    mark_written(inode, offset, bytes.size());
  }
  return verdict == Verdict::kDo ? io_ok() : refuse("write", path, error);
}

IoStatus FakeFileSystem::sync_inode(Inode& inode, const std::string& path) {
  int error = 0;
  const Verdict verdict = count_operation("sync", path, error);
  if (verdict == Verdict::kCrash) return refuse("sync", path, error);
  if (verdict == Verdict::kFail) {
    lose_unsynced_sectors(inode);
    return refuse("sync", path, error);
  }
  inode.durable.resize(std::min<uint64_t>(inode.floor, inode.durable.size()));
  inode.durable.resize(inode.cache.size());
  for (const uint64_t sector : inode.dirty) {
    const uint64_t from = sector * kSector;
    const uint64_t size = std::min(kSector, inode.cache.size() - from);
    std::memcpy(inode.durable.data() + from, inode.cache.data() + from, size);
  }
  inode.dirty.clear();
  inode.floor = inode.cache.size();
  return io_ok();
}

IoStatus FakeFileSystem::truncate_inode(Inode& inode, const std::string& path, uint64_t size) {
  int error = 0;
  const Verdict verdict = count_operation("truncate", path, error);
  record(size);
  if (verdict == Verdict::kDo || (verdict == Verdict::kCrash && random_.below(2) == 0)) {
    inode.cache.resize(size);
    inode.floor = std::min(inode.floor, size);
    inode.dirty.erase(inode.dirty.lower_bound((size + kSector - 1) / kSector), inode.dirty.end());
  }
  return verdict == Verdict::kDo ? io_ok() : refuse("truncate", path, error);
}

/// Brings an arbitrary subset of the dirty sectors, and perhaps the new size, to the disk.
void FakeFileSystem::lose_unsynced_sectors(Inode& inode) {
  const bool cut = inode.cache.size() < inode.durable.size() && random_.below(2) == 0;
  if (cut) inode.durable.resize(inode.cache.size());
  // Weighted, so that nearly all and nearly none are as likely as half.
  const uint64_t odds = random_.below(5);
  for (const uint64_t sector : inode.dirty) {
    if (random_.below(4) >= odds) continue;
    const uint64_t from = sector * kSector;
    const uint64_t size = std::min(kSector, inode.cache.size() - from);
    if (inode.durable.size() < from + size) inode.durable.resize(from + size);
    std::memcpy(inode.durable.data() + from, inode.cache.data() + from, size);
  }
  inode.dirty.clear();
  inode.floor = inode.cache.size();
}

// --- Faults and the test's own hands.

uint64_t FakeFileSystem::operations() const {
  const std::lock_guard lock(mutex_);
  return operations_;
}

uint64_t FakeFileSystem::trace() const {
  const std::lock_guard lock(mutex_);
  return trace_;
}

void FakeFileSystem::record(uint64_t what) { trace_ = (trace_ ^ what) * 0x9E3779B97F4A7C15; }

uint64_t FakeFileSystem::reads() const {
  const std::lock_guard lock(mutex_);
  return reads_;
}

void FakeFileSystem::crash_at(uint64_t operation) {
  const std::lock_guard lock(mutex_);
  crash_at_ = operation;
}

bool FakeFileSystem::crashed() const {
  const std::lock_guard lock(mutex_);
  return crashed_;
}

void FakeFileSystem::fail_at(uint64_t operation, int error) {
  const std::lock_guard lock(mutex_);
  failures_[operation] = error;
}

void FakeFileSystem::fail_read_at(uint64_t read, int error) {
  const std::lock_guard lock(mutex_);
  read_failures_[read] = error;
}

void FakeFileSystem::refuse_locks(int error) {
  const std::lock_guard lock(mutex_);
  refuse_locks_ = error;
}

void FakeFileSystem::set_capacity(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  capacity_ = bytes;
}

void FakeFileSystem::disarm() {
  const std::lock_guard lock(mutex_);
  crash_at_.reset();
  failures_.clear();
  read_failures_.clear();
  lies_.clear();
}

uint64_t FakeFileSystem::used() const {
  const std::lock_guard lock(mutex_);
  return used_bytes();
}

void FakeFileSystem::lie_at(uint64_t operation, bool misdirect) {
  const std::lock_guard lock(mutex_);
  lies_[operation] = misdirect;
}

bool FakeFileSystem::has_lied_about(const std::string& directory) const {
  const std::lock_guard lock(mutex_);
  const std::string begin = directory + "/";
  const auto first = lied_about_.lower_bound(begin);
  return first != lied_about_.end() && first->starts_with(begin);
}

void FakeFileSystem::reseed(uint64_t seed) {
  const std::lock_guard lock(mutex_);
  random_ = SplitMix(seed);
}

/// The error of this read, or zero.
int FakeFileSystem::count_read() {
  if (observed_) return 0;
  const auto failure = read_failures_.find(++reads_);
  return failure == read_failures_.end() ? 0 : failure->second;
}

void FakeFileSystem::observe(bool looking) {
  const std::lock_guard lock(mutex_);
  observed_ = looking;
}

int FakeFileSystem::open_files() const {
  const std::lock_guard lock(mutex_);
  return open_files_;
}

void FakeFileSystem::halt() {
  const std::lock_guard lock(mutex_);
  crashed_ = true;
}

void FakeFileSystem::process_crash() {
  const std::lock_guard lock(mutex_);
  ++life_;
  open_files_ = 0;
  locks_.clear();
  crash_at_.reset();
  crashed_ = false;
  failures_.clear();
  read_failures_.clear();
  lies_.clear();
}

void FakeFileSystem::power_loss() {
  process_crash();
  const std::lock_guard lock(mutex_);
  const uint64_t odds = random_.below(5);
  for (const NameChange& change : changes_) {
    if (random_.below(4) < odds) apply(durable_, change);
  }
  changes_.clear();
  // Paths sort behind their parents, so a lost directory takes all below it along.
  std::erase_if(durable_, [this](const auto& name) {
    return name.first != "/" && !durable_.contains(parent_of(name.first));
  });
  names_ = durable_;
  for (auto& [path, inode] : names_) {
    lose_unsynced_sectors(*inode);
    inode->cache = inode->durable;
    inode->floor = inode->cache.size();
  }
}

void FakeFileSystem::flip_bit(const std::string& path, uint64_t offset, int bit) {
  const std::lock_guard lock(mutex_);
  Inode& inode = *names_.at(path);
  inode.cache.at(offset) = static_cast<char>(inode.cache.at(offset) ^ (1 << bit));
  if (offset < inode.durable.size()) {
    inode.durable[offset] = static_cast<char>(inode.durable[offset] ^ (1 << bit));
  }
}

void FakeFileSystem::put(const std::string& path, std::string content) {
  const std::lock_guard lock(mutex_);
  auto inode = std::make_shared<Inode>();
  inode->cache = inode->durable = std::move(content);
  inode->floor = inode->cache.size();
  names_[path] = durable_[path] = inode;
}

void FakeFileSystem::remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  for (Names* names : {&names_, &durable_}) names->erase(path);
}

void FakeFileSystem::remove_below(const std::string& directory, bool with_directories) {
  const std::lock_guard lock(mutex_);
  for (Names* names : {&names_, &durable_}) {
    std::erase_if(*names, [&](const auto& name) {
      return name.first.starts_with(directory + "/") &&
             (with_directories || !name.second->directory);
    });
  }
}

std::string FakeFileSystem::content(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  return names_.at(path)->cache;
}

std::vector<std::string> FakeFileSystem::paths() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> paths;
  for (const auto& [path, inode] : names_) {
    if (!inode->directory) paths.push_back(path);
  }
  return paths;
}

}  // namespace holdfast::raft
