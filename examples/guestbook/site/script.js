// The pages work without this file. It shows times in the reader's own zone and counts the
// characters that are left in a text field.

for (const time of document.querySelectorAll("time[datetime]")) {
  const moment = new Date(time.dateTime);
  if (Number.isNaN(moment.getTime())) continue;
  time.title = moment.toISOString();
  time.textContent = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

for (const field of document.querySelectorAll("textarea[maxlength]")) {
  const hint = document.getElementById(`${field.id}-left`);
  if (!hint) continue;
  const count = () => {
    hint.textContent = `${field.maxLength - field.value.length} characters left`;
  };
  field.addEventListener("input", count);
  count();
}
