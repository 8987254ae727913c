// Records that verify and yet cannot have been written: refused like damage, never a crash. Each
// was found by the fuzzer `recovery`, or is a neighbour of one that was.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "raft/storage/batch_encoder.h"
#include "raft/storage/log_format.h"
#include "tests/unit/storage/log_support.h"

namespace holdfast::raft {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kSalt = 5;

SegmentHead head_of(uint64_t segment) {
  SegmentHead head;
  head.segment = segment;
  head.store = kStore;
  head.group = kDefaultGroup;
  head.salt = kSalt;
  head.first_batch = 1;
  return head;
}

/// A segment with one batch of these records.
std::string image_of(const SegmentHead& head, const std::vector<Record>& records) {
  BatchSize size;
  for (const Record& record : records) size.add_payload(record.payload.size());
  BatchEncoder encoder;
  encoder.begin(size, segment_seed(head.salt, head.segment), 0, head.first_batch, head.group,
                &head);
  for (const Record& r : records) encoder.add(r.type, r.index, r.term, r.payload);
  return std::string(encoder.finish());
}

Record command(uint64_t index, uint64_t term) {
  Record record;
  record.type = record_type_of(EntryType::kCommand);
  record.index = index;
  record.term = term;
  return record;
}

/// Opening a log of this one segment, which must be refused.
Error refusal_of(const SegmentHead& head, const std::vector<Record>& records) {
  const auto disk = fake_disk();
  disk->put(segment_path(head.segment), image_of(head, records));
  const auto log = open_log(*disk);
  EXPECT_FALSE(log.ok());
  return log.ok() ? Error{} : log.error();
}

TEST(ForgedLog, ASegmentMadeByHandOpensIfNothingIsWrongWithIt) {
  const auto disk = fake_disk();
  disk->put(segment_path(1), image_of(head_of(1), {command(1, 1), command(2, 3)}));
  const auto log = open_log(*disk);
  ASSERT_TRUE(log.ok()) << log.error().message;
  EXPECT_EQ(read_all(**log).size(), 2U);
}

TEST(ForgedLog, AnEntryOfALaterTermThanTheOneInForceIsFound) {
  SegmentHead head = head_of(1);
  head.tail.hard_state.term = Term(2);
  const auto terms_of = [&](uint64_t last_term) {
    const auto disk = fake_disk();
    disk->put(segment_path(1), image_of(head, {command(1, 1), command(2, last_term)}));
    const auto log = open_log(*disk);
    return log.ok() ? (*log)->recovered().check_terms() : Status(log.error());
  };
  EXPECT_TRUE(terms_of(2).ok());
  const Status terms = terms_of(3);
  ASSERT_FALSE(terms.ok());
  EXPECT_EQ(terms.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(terms.error().message, HasSubstr("entry 2 of term 3, but the term in force is 2"));
}

TEST(ForgedLog, AnEntryBeforeTheLogsBeginIsRefused) {
  SegmentHead head = head_of(1);
  head.tail.last_index = LogIndex(5);
  const Error error = refusal_of(head, {command(6, 1), command(3, 1)});
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_THAT(error.message, HasSubstr("entry 3 stands in a log that begins behind entry 5"));
}

TEST(ForgedLog, ANumberThatNoLogReachesIsRefused) {
  for (const Record& record : {command(1, kLogOrdinalMax), command(1, ~uint64_t{0})}) {
    const Error error = refusal_of(head_of(1), {record});
    EXPECT_EQ(error.code, ErrorCode::kCorrupt);
    EXPECT_THAT(error.message, HasSubstr("is beyond 9007199254740992"));
  }
}

TEST(ForgedLog, AHeadWithANumberThatNoLogReachesDoesNotCount) {
  for (const auto forge : {+[](SegmentHead& h) { h.tail.last_index = LogIndex(~uint64_t{0}); },
                           +[](SegmentHead& h) { h.tail.last_term = Term(kLogOrdinalMax); },
                           +[](SegmentHead& h) { h.tail.hard_state.term = Term(~uint64_t{0}); },
                           +[](SegmentHead& h) { h.first_batch = ~uint64_t{0}; }}) {
    SegmentHead head = head_of(1);
    forge(head);
    const Error error = refusal_of(head, {});
    EXPECT_EQ(error.code, ErrorCode::kCorrupt);
    EXPECT_THAT(error.message, HasSubstr("no segment of this log has a valid head"));
  }
}

TEST(ForgedLog, ABatchThatSaysItGoesBackwardsIsCutOff) {
  std::string image = image_of(head_of(1), {});
  std::string payload(kBatchHeadPayloadBytes, '\0');
  encode_batch_head(payload.data(), {~uint64_t{0} / kSectorBytes * kSectorBytes, 0});
  Record record;
  record.offset = kFirstBatchOffset;
  record.type = static_cast<uint8_t>(RecordType::kBatchHead);
  record.batch = 1;
  record.group = kDefaultGroup.value;
  record.payload = payload;
  encode_record(image.data() + record.offset, segment_seed(kSalt, 1), record);
  const auto disk = fake_disk();
  disk->put(segment_path(1), image);
  const auto log = open_log(*disk);
  ASSERT_TRUE(log.ok()) << log.error().message;
  EXPECT_EQ((*log)->last_index(), LogIndex());
  EXPECT_FALSE((*log)->recovered().torn_tail.empty());
}

TEST(ForgedLog, AFileWithANumberThatNoLogReachesIsNoFileOfTheLog) {
  EXPECT_FALSE(parse_segment_name("18446744073709551615.log", kSegmentSuffix));
  EXPECT_FALSE(parse_segment_name(segment_file_name(kLogOrdinalMax), kSegmentSuffix));
  EXPECT_TRUE(parse_segment_name(segment_file_name(kLogOrdinalMax - 1), kSegmentSuffix));
}

TEST(ForgedLog, ANumberThatOnlyAHeadStillBearsIsNotUsedAgain) {
  // The old bytes of a reused file verify under the number that they were written under.
  const auto disk = fake_disk();
  std::string old = image_of(head_of(2), {command(1, 1)});
  old.resize(4096);
  disk->put(segment_path(1), image_of(head_of(1), {command(1, 1)}));
  disk->put(std::string(kLogDirectory) + "/" + temporary_file_name(1), old);
  ASSERT_TRUE(open_log(*disk).ok());
  EXPECT_TRUE(*disk->exists(segment_path(3)));
  EXPECT_FALSE(*disk->exists(segment_path(2)));
}

}  // namespace
}  // namespace holdfast::raft
