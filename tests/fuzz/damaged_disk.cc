#include "tests/fuzz/damaged_disk.h"

#include <algorithm>
#include <utility>

#include "raft/storage/batch_encoder.h"

namespace holdfast::raft {

using fuzz::Input;

void DamagedDisk::damage(Input& input) {
  const std::vector<std::string> paths = log_files();
  if (paths.empty()) {
    disk_->put(directory_ + "/" + segment_file_name(1), std::string(kSectorBytes, '\0'));
    return;
  }
  const std::string& path = paths[input.below(paths.size())];
  switch (input.byte() % 7) {
    case 0:
      return overwrite(input, path);
    case 1:
      return resize(input, path);
    case 2:
      return copy(input, path);
    case 3:
      return add_or_remove(input, path);
    case 4:
      return forge_record(input, path);
    case 5:
      return forge_head(input, path);
    default:
      return forge_batch(input, path);
  }
}

void DamagedDisk::overwrite(Input& input, const std::string& path) {
  std::string content = disk_->content(path);
  if (content.empty()) return;
  const uint64_t at = input.below(content.size());
  const uint64_t size = std::min<uint64_t>(input.byte(), content.size() - at);
  if (input.flag()) {
    content.replace(at, size, size, '\0');
  } else {
    const std::string_view bytes = input.bytes(size);
    content.replace(at, bytes.size(), bytes);
  }
  disk_->put(path, std::move(content));
}

void DamagedDisk::resize(Input& input, const std::string& path) {
  std::string content = disk_->content(path);
  content.resize(input.below(kFileBytesMax));
  disk_->put(path, std::move(content));
}

/// Sectors that a disk wrote to the wrong place.
void DamagedDisk::copy(Input& input, const std::string& path) {
  const std::vector<std::string> paths = log_files();
  const std::string from = disk_->content(paths[input.below(paths.size())]);
  std::string to = disk_->content(path);
  const uint64_t source = input.byte() * kSectorBytes;
  const uint64_t target = input.byte() * kSectorBytes;
  if (source >= from.size() || target >= to.size()) return;
  const std::string piece = from.substr(source, input.byte() * kSectorBytes);
  to.replace(target, std::min(piece.size(), to.size() - target), piece);
  to.resize(std::min<uint64_t>(to.size(), kFileBytesMax));
  disk_->put(path, std::move(to));
}

/// Removes a file, or leaves a copy under a number that was never used: that no number is used
/// twice is what the log's checksums stand on, and no disk renames files.
void DamagedDisk::add_or_remove(Input& input, const std::string& path) {
  const uint8_t how = input.byte();
  if (how % 2 == 0) {
    static_cast<void>(disk_->unlink(path));
    static_cast<void>(disk_->sync_directory(directory_));
    return;
  }
  uint64_t number = 1 + input.byte() % 4;
  for (const std::string& other : log_files()) number = std::max(number, number_of(other) + 1);
  const std::string name = how < 128 ? segment_file_name(number) : temporary_file_name(number);
  disk_->put(directory_ + "/" + name, disk_->content(path));
}

/// One field of one record, or bytes of its payload, under a checksum that fits.
void DamagedDisk::forge_record(Input& input, const std::string& path) {
  std::string content = disk_->content(path);
  const auto head = decode_segment_head(content);
  if (!head) return;
  const uint64_t seed = segment_seed(head->salt, number_of(path));
  const std::vector<Record> records = records_of(content, seed);
  if (records.empty()) return;
  Record record = records[input.below(records.size())];
  std::string payload(record.payload);
  switch (input.byte() % 6) {
    case 0:
      record.type = input.byte();
      break;
    case 1:
      record.batch = near(input, record.batch);
      break;
    case 2:
      record.group = input.number();
      break;
    case 3:
      record.index = near(input, record.index);
      break;
    case 4:
      record.term = near(input, record.term);
      break;
    default:
      if (payload.size() < 8) return;
      const uint64_t at = input.below(payload.size() / 8) * 8;
      const uint64_t value = near(input, static_cast<uint8_t>(payload[at]));
      for (uint64_t i = 0; i < 8; ++i) payload[at + i] = static_cast<char>(value >> 8 * i);
  }
  record.payload = payload;
  encode_record(content.data() + record.offset, seed, record);
  disk_->put(path, std::move(content));
  forged_ = true;
}

void DamagedDisk::forge_head(Input& input, const std::string& path) {
  std::string content = disk_->content(path);
  if (content.size() < kSectorBytes) content.resize(kSectorBytes);
  SegmentHead head = decode_segment_head(content).value_or(SegmentHead{});
  head.store = store_;
  head.group = kDefaultGroup;
  head.segment = number_of(path);
  if (const auto known = salts(); !known.empty()) head.salt = *known.begin();
  uint64_t* const fields[] = {&head.previous_segment,
                              &head.previous_end,
                              &head.first_batch,
                              &head.tail.hard_state.term.value,
                              &head.tail.hard_state.vote.value,
                              &head.tail.last_index.value,
                              &head.tail.last_term.value,
                              &head.salt};
  uint64_t& field = *fields[input.below(std::size(fields))];
  field = near(input, field);
  encode_segment_head(content.data(), head);
  disk_->put(path, std::move(content));
  forged_ = true;
}

/// A batch at any sector, with any records in it.
void DamagedDisk::forge_batch(Input& input, const std::string& path) {
  std::string content = disk_->content(path);
  const auto known = salts();
  if (known.empty()) return;
  const uint64_t offset = input.byte() % 32 * kSectorBytes;
  const uint64_t seed = segment_seed(*known.begin(), number_of(path));
  std::vector<Record> records(input.byte() % 4);
  BatchSize size;
  for (Record& record : records) {
    record.type = input.flag() ? record_type_of(EntryType::kCommand) : input.byte() % 24;
    record.index = input.number();
    record.term = input.number();
    record.payload = input.bytes(input.byte() % 32);
    size.add_payload(record.payload.size());
  }
  BatchEncoder encoder;
  encoder.begin(size, seed, offset, input.number(), kDefaultGroup, nullptr);
  for (const Record& r : records) encoder.add(r.type, r.index, r.term, r.payload);
  const std::string_view image = encoder.finish();
  if (content.size() < offset + image.size()) content.resize(offset + image.size());
  content.replace(offset, image.size(), image);
  disk_->put(path, std::move(content));
  forged_ = true;
}

std::vector<std::string> DamagedDisk::log_files() const {
  std::vector<std::string> paths = disk_->paths();
  std::erase_if(paths, [&](const std::string& path) {
    return path.size() <= directory_.size() + 1 || !path.starts_with(directory_);
  });
  return paths;
}

uint64_t DamagedDisk::number_of(const std::string& path) const {
  const std::string_view name = std::string_view(path).substr(directory_.size() + 1);
  if (const auto number = parse_segment_name(name, kSegmentSuffix)) return *number;
  return parse_segment_name(name, kTemporarySuffix).value_or(1);
}

std::set<uint64_t> DamagedDisk::salts() const {
  std::set<uint64_t> found;
  for (const std::string& path : log_files()) {
    if (const auto head = decode_segment_head(disk_->content(path))) found.insert(head->salt);
  }
  return found;
}

std::vector<Record> DamagedDisk::records_of(const std::string& content, uint64_t seed) {
  std::vector<Record> records;
  for (uint64_t at = 0; at + kRecordHeadBytes <= content.size(); at += 8) {
    if (const auto record = decode_record(content, 0, at, seed)) records.push_back(*record);
  }
  return records;
}

std::set<EntryFacts> DamagedDisk::verified_entries() const {
  std::set<EntryFacts> entries;
  const std::set<uint64_t> known = salts();
  for (const std::string& path : log_files()) {
    const std::string content = disk_->content(path);
    for (const uint64_t salt : known) {
      for (const Record& r : records_of(content, segment_seed(salt, number_of(path)))) {
        if (is_entry(r.type)) entries.emplace(r.index, r.term, r.type, std::string(r.payload));
      }
    }
  }
  return entries;
}

/// A number beside `value`, or any.
uint64_t DamagedDisk::near(Input& input, uint64_t value) {
  const uint8_t distance = input.byte();
  return distance < 128 ? value + distance - 64 : input.number();
}

}  // namespace holdfast::raft
