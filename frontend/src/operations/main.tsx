import "@/shared/theme.css";
import "@/shared/base.css";
import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { BrowserRouter } from "react-router";
import { restoreAppearance } from "@/shared/appearance";
import { makeQueryClient } from "@/shared/queries";
import { Toasts } from "@/shared/toasts";
import { Operations } from "./Operations";
import { BASE } from "./paths";
import { OperatorProvider } from "./session/operator";

restoreAppearance();
const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={makeQueryClient()}>
        <BrowserRouter basename={BASE}>
          <OperatorProvider>
            <Toasts>
              <Operations />
            </Toasts>
          </OperatorProvider>
        </BrowserRouter>
      </QueryClientProvider>
    </StrictMode>,
  );
}
