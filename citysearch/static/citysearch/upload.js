// A large file takes minutes to send: the form is sent with a bar. Without this script the form is sent all the same.

const form = document.querySelector(".upload-form");
const work = form.querySelector(".upload-work");

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const request = new XMLHttpRequest();
  request.upload.addEventListener("progress", ({ loaded, total }) => { work.querySelector("progress").value = loaded / total; });
  // The answer is the next page: the form with its errors, or, by a redirect, the page of the import.
  request.addEventListener("load", () => (request.responseURL === location.href ? replaced(request.responseText) : location.assign(request.responseURL)));
  request.addEventListener("error", () => form.submit());
  request.open("POST", location.href);
  request.send(new FormData(form));
  work.hidden = false;
  form.querySelector("[type=submit]").disabled = true;
});

function replaced(text) {
  const page = new DOMParser().parseFromString(text, "text/html");
  form.querySelector("fieldset").replaceWith(page.querySelector(".upload-form fieldset"));
  work.hidden = true;
  form.querySelector("[type=submit]").disabled = false;
}
