import { Component, type ReactNode } from "react";
import { common } from "@/strings/common";
import { Button } from "./controls";
import { Empty } from "./layout";

interface Props {
  children: ReactNode;
  /** Another value forgets the failure: the path of the page. */
  at: string;
}

/** Shows a sentence in place of a page that broke; the rest of the app stays. */
export class Guarded extends Component<Props, { broke: boolean }> {
  override state = { broke: false };

  static getDerivedStateFromError(): { broke: boolean } {
    return { broke: true };
  }

  override componentDidUpdate(before: Props): void {
    if (before.at !== this.props.at && this.state.broke) this.setState({ broke: false });
  }

  override render(): ReactNode {
    if (!this.state.broke) return this.props.children;
    return (
      <Empty
        title={common.somethingBroke}
        action={<Button onClick={() => window.location.reload()}>{common.reload}</Button>}
      >
        {common.somethingBrokeHelp}
      </Empty>
    );
  }
}
